// Added tokens that count only as words of their own (`single_word`), and those that take the white space beside them (`lstrip`, `rstrip`).
// @huggingface/tokenizers 0.2.0 finds the former inside words too, and takes what JavaScript calls white space: U+FEFF, but not U+0085. Its
// splitters are wrapped here, which a version that does all that makes unnecessary.

import type { TokenizerJson } from './token-bytes.ts';

type AddedToken = NonNullable<TokenizerJson['added_tokens']>[number];

/** The library's: what it cuts a text into, its words and what stands between them. */
interface Splitter {
  split(text: string): string[];
}

/** What is needed of the library's Tokenizer. It looks for some added tokens in the text, for the others in the normalised one. */
export interface Splitting {
  added_tokens_map: Map<string, { lstrip: boolean; rstrip: boolean }>;
  normalizer: ((text: string) => string) | null;
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
}

/** The word characters of Rust's `\w`, as the inside of a class. Hugging Face's tokenizers looks for them at both neighbours. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const ENDS_IN_WORD = new RegExp(`[${WORD}]$`, 'u');
const BEGINS_WITH_WORD = new RegExp(`^[${WORD}]`, 'u');

/** The white space of Rust's `char::is_whitespace`. */
const SPACE = '\\p{White_Space}';
const LEADING_SPACE = new RegExp(`^${SPACE}+`, 'u');
const TRAILING_SPACE = new RegExp(`(?<!${SPACE})${SPACE}+$`, 'u');

/** Lets `library` leave those `tokens` that are single words where they touch another word, and take the white space that is theirs. */
export function cutAtAddedTokens(library: Splitting, tokens: readonly AddedToken[]): void {
  if (!tokens.some((token) => token.single_word || token.lstrip || token.rstrip)) return;
  for (const token of library.added_tokens_map.values()) token.lstrip = token.rstrip = false;
  const { normalizer } = library;
  const isLate = (token: AddedToken): boolean => normalizer !== null && (token.normalized ?? !token.special);
  leave(
    library.splitter_unnormalized,
    tokens.filter((token) => !isLate(token)),
  );
  leave(
    library.splitter_normalized,
    tokens.filter(isLate).map((token) => ({ ...token, content: normalizer!(token.content) })),
  );
}

function leave(splitter: Splitter, tokens: readonly AddedToken[]): void {
  const words = new Map(tokens.map((token) => [token.content, token]));
  const split = splitter.split.bind(splitter);
  splitter.split = (text) => {
    const parts: string[] = [];
    let at = 0;
    let open = false;
    for (const part of split(text)) {
      const word = words.get(part);
      const plain = !word || (word.single_word === true && touchesWord(text, at, part.length));
      if (plain && open) parts[parts.length - 1] += part;
      else parts.push(part);
      open = plain;
      at += part.length;
    }
    return parts.map((part, i) => {
      if (words.get(parts[i - 1] ?? '')?.rstrip) part = part.replace(LEADING_SPACE, '');
      return words.get(parts[i + 1] ?? '')?.lstrip ? part.replace(TRAILING_SPACE, '') : part;
    });
  };
}

function touchesWord(text: string, at: number, length: number): boolean {
  const end = at + length;
  // Two units hold any one character.
  return (
    ENDS_IN_WORD.test(text.slice(Math.max(0, at - 2), at)) || BEGINS_WITH_WORD.test(text.slice(end, end + 2))
  );
}
