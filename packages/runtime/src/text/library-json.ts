// tokenizer.json as @huggingface/tokenizers has to be given it. Its version 0.2.0 reads some splitters otherwise than Hugging Face's own
// tokenizers does: Digits, Punctuation and Whitespace, ByteLevel's own pattern, and every Split that does more than part its matches from
// the rest. Each is written here as the Split that means the same and that it does right; a version that reads them itself makes this
// file unnecessary.

import { WORD } from './single-words.ts';

interface Splitter {
  type?: string;
  pretokenizers?: Splitter[];
  pattern?: { Regex?: string; String?: string };
  behavior?: string;
  invert?: boolean;
  individual_digits?: boolean;
  add_prefix_space?: boolean;
  use_regex?: boolean;
  replacement?: string;
  prepend_scheme?: string;
}

/** ByteLevel's own pattern (openai/gpt-2, encoder.py). */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** The characters of ASCII that are marks to Rust's is_ascii_punctuation and symbols to Unicode, and all that Unicode calls punctuation. */
const PUNCTUATION = '[\\p{P}$+<=>^`|~]';

/** A copy of `json` whose splitters the library reads as they are meant; other fields are the same objects. */
export function libraryJson<T extends object>(json: T): T {
  const { pre_tokenizer: splitter } = json as { pre_tokenizer?: Splitter | null };
  if (!splitter) return json;
  const steps = (splitter.type === 'Sequence' ? (splitter.pretokenizers ?? []) : [splitter]).flatMap(spelled);
  return {
    ...json,
    pre_tokenizer: steps.length === 1 ? steps[0] : { type: 'Sequence', pretokenizers: steps },
  };
}

function spelled(step: Splitter): Splitter | Splitter[] {
  const { type, behavior = 'Isolated' } = step;
  if (type === 'Sequence') return (step.pretokenizers ?? []).flatMap(spelled);
  if (type === 'Digits') return isolated(step.individual_digits ? '\\p{N}' : '\\p{N}+');
  if (type === 'Whitespace') return split({ Regex: `[${WORD}]+|[^${WORD}\\s]+` }, 'Removed', true);
  if (type === 'WhitespaceSplit') return split({ Regex: '\\s+' }, 'Removed', false);
  if (type === 'Punctuation') return split({ Regex: PUNCTUATION }, behavior, false);
  if (type === 'Split') return split(step.pattern ?? {}, behavior, step.invert ?? false);
  if (type !== 'ByteLevel' || step.use_regex === false) return step;
  // The space comes before the pattern is looked for. With a space for its mark, this is all that Metaspace does.
  const space: Splitter = { type: 'Metaspace', replacement: ' ', prepend_scheme: 'always' };
  const bytes = { ...step, add_prefix_space: false, use_regex: false };
  return step.add_prefix_space ? [space, isolated(GPT2), bytes] : [isolated(GPT2), bytes];
}

/** Where the matches and what stands between them are told apart, `invert` exchanges the two. */
function split(pattern: { Regex?: string; String?: string }, behavior: string, invert: boolean): Splitter {
  const regex = pattern.Regex ?? (pattern.String ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const [match, between] = [`(?:${regex})`, `(?:(?!${regex})[\\s\\S])`];
  const withNext = `${match}${between}*`;
  const withPrevious = `${between}+${match}?|${match}`;
  switch (behavior.toLowerCase()) {
    case 'contiguous':
      return isolated(`${match}+`);
    case 'mergedwithnext':
      return isolated(invert ? withPrevious : withNext);
    case 'mergedwithprevious':
      return isolated(invert ? withNext : withPrevious);
    case 'removed':
      // The library cuts with String.prototype.split, which also gives back what a group caught.
      return { type: 'Split', pattern: { Regex: withoutGroups(regex) }, behavior: 'Removed', invert };
    default:
      return isolated(regex);
  }
}

function isolated(Regex: string): Splitter {
  return { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
}

/** The same pattern with no group that catches: `(` becomes `(?:`, save in a class and behind a backslash. */
function withoutGroups(regex: string): string {
  return regex.replace(
    /(\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\])|\((?!\?)/g,
    (_, kept: string | undefined) => kept ?? '(?:',
  );
}
