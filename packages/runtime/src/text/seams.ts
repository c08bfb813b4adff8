// Where a tokenizer's tokens never reach over: the beginnings of lines, and of words behind a space. A text is then encoded anew from
// the last such place only, with the ids that encoding all of it would give. Read off tokenizer.json; a tokenizer whose kind is
// not known here is never cut.

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

/** What `seams` says of a tokenizer. */
export interface Seams {
  lines: boolean;
  words: boolean;
}

/**
 * `lines`: whether encode(a + b) = encode(a) followed by encode(b) wherever `a` ends in a line feed, `b` begins with a printable ASCII
 * character, and `a` is encoded with something behind it. `words`: the same wherever `a` ends in an ASCII letter and `b` begins with a
 * space and an ASCII letter; there each of the patterns ends a match, whatever stands on either side.
 */
export function seams(json: unknown, config: unknown): Seams {
  const none = { lines: false, words: false };
  const { normalizer, pre_tokenizer: splitter, model, added_tokens: added } = json as TokenizerSpec;
  const { remove_space: spaces, do_lowercase_and_remove_accent: lower } = (config ?? {}) as {
    remove_space?: boolean;
    do_lowercase_and_remove_accent?: boolean;
  };
  if (model?.type !== 'BPE' || spaces || lower) return none;
  // A line feed, a space and what stands in front of them are never composed; other normalisers may look further.
  const normalizers = normalizer ? (normalizer.normalizers ?? [normalizer]) : [];
  if (!normalizers.every(({ type }) => type === 'NFC')) return none;
  // An added token that takes white space with it, or holds some, could reach over the place.
  const texts = (added ?? []).map(({ content }) => content);
  if ((added ?? []).some((t) => t.lstrip || t.rstrip)) return none;
  const steps = splitter ? (splitter.pretokenizers ?? [splitter]) : [];
  // Bytes have no unknown token, which other models fuse across words.
  if (!steps.every(isKnown) || !steps.some(({ type }) => type === 'ByteLevel')) return none;
  return {
    lines: steps.some(splitsAtLineFeed) && !texts.some((text) => text.includes('\n')),
    words: steps.some(splitsWords) && !texts.some((text) => text.includes(' ')),
  };
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

function splitsWords({ type, pattern, use_regex: own }: Step): boolean {
  if (type === 'ByteLevel') return own !== false;
  return type === 'Split' && KNOWN_PATTERNS.has(pattern?.Regex ?? '');
}

function splitsAtLineFeed(step: Step): boolean {
  const regex = step.pattern?.Regex ?? '';
  return splitsWords(step) || (step.type === 'Split' && isOneCharacter(regex) && regex.includes('\\n'));
}
