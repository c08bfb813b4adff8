// Whether a tokenizer's tokens never reach over the beginning of a line: then a text is encoded anew from a line's start only, with
// the ids that encoding all of it would give. Read off tokenizer.json; a tokenizer whose kind is not known here is never cut.

interface Step {
  type?: string;
  pretokenizers?: Step[];
  normalizers?: Step[];
  pattern?: { Regex?: string; String?: string };
  behavior?: string;
  invert?: boolean;
  use_regex?: boolean;
  add_prefix_space?: boolean;
}

interface TokenizerSpec {
  normalizer?: Step | null;
  pre_tokenizer?: Step | null;
  model?: { type?: string };
  added_tokens?: { content: string; lstrip?: boolean; rstrip?: boolean }[];
}

/**
 * The splitting patterns of Llama 3 and of Qwen 2: runs of spaces take the line's end with them, words and marks take none in
 * front. GPT-2's own, which ByteLevel has built in, does the same.
 */
const KNOWN_PATTERNS: ReadonlySet<string> = new Set(
  ['\\p{N}{1,3}', '\\p{N}'].map(
    (digits) =>
      `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
  ),
);

/**
 * Whether encode(a + b) = encode(a) followed by encode(b) wherever `a` ends in a line feed, `b` begins with a printable ASCII
 * character, and `a` is encoded with something behind it.
 */
export function splitsAtLineStarts(json: unknown, config: unknown): boolean {
  const { normalizer, pre_tokenizer: splitter, model, added_tokens: added } = json as TokenizerSpec;
  const { remove_space: spaces, do_lowercase_and_remove_accent: lower } = (config ?? {}) as {
    remove_space?: boolean;
    do_lowercase_and_remove_accent?: boolean;
  };
  if (model?.type !== 'BPE' || spaces || lower) return false;
  // A line feed and an ASCII character are never composed; other normalisers may look further.
  const normalizers = normalizer ? (normalizer.normalizers ?? [normalizer]) : [];
  if (!normalizers.every(({ type }) => type === 'NFC')) return false;
  // An added token that takes white space with it, or holds a line feed, could reach over the place.
  if ((added ?? []).some((t) => t.lstrip || t.rstrip || t.content.includes('\n'))) return false;
  const steps = splitter ? (splitter.pretokenizers ?? [splitter]) : [];
  if (!steps.every(isKnown)) return false;
  // Bytes have no unknown token, which other models fuse across words.
  return steps.some(({ type }) => type === 'ByteLevel') && steps.some(splitsAtLineFeed);
}

function isKnown({ type, add_prefix_space: prefix, pattern, behavior, invert }: Step): boolean {
  if (type === 'ByteLevel') return prefix === false;
  if (type === 'Digits') return true;
  return type === 'Split' && behavior === 'Isolated' && !invert && isKnownPattern(pattern?.Regex ?? null);
}

function isKnownPattern(regex: string | null): boolean {
  return regex !== null && (KNOWN_PATTERNS.has(regex) || isOneCharacter(regex));
}

/** `[...]` without a negation, a class inside it or a quantifier: each match is one character of its own. */
function isOneCharacter(regex: string): boolean {
  return /^\[(?!\^)(?:[^[\]\\]|\\[nrt\\.*+?/-])+\]$/.test(regex);
}

function splitsAtLineFeed({ type, pattern, use_regex: own }: Step): boolean {
  if (type === 'ByteLevel') return own !== false;
  const regex = pattern?.Regex ?? '';
  return type === 'Split' && (KNOWN_PATTERNS.has(regex) || (isOneCharacter(regex) && regex.includes('\\n')));
}
