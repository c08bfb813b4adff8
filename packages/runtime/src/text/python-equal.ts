// What Python's == gives, for chat templates, as @huggingface/jinja hands values to functions: texts and numbers as they are,
// lists as arrays and dictionaries as Maps of its own values, which hold theirs in `value`. None and what is undefined come as the same, so
// the two count as equal here, as they do in the library itself.

interface Held {
  value: unknown;
}

/** Whether the two are equal. True is 1, and a text equals texts only. */
export function equal(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other))
    return one.length === other.length && one.every((item, i) => heldEqual(item as Held, other[i] as Held));
  if (one instanceof Map && other instanceof Map)
    return (
      one.size === other.size &&
      [...one].every(([key, item]) => other.has(key) && heldEqual(item as Held, other.get(key) as Held))
    );
  return number(one) === number(other);
}

function heldEqual(one: Held, other: Held): boolean {
  return equal(one.value, other.value);
}

function number(value: unknown): unknown {
  return typeof value === 'boolean' ? Number(value) : value;
}
