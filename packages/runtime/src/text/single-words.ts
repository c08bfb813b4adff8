// Added tokens that count only as words of their own (`single_word`). @huggingface/tokenizers 0.2.0 finds them inside words too; its
// splitters are wrapped here, which a version that reads the field makes unnecessary.

import type { TokenizerJson } from './token-bytes.ts';

type AddedToken = NonNullable<TokenizerJson['added_tokens']>[number];

/** The library's: what it cuts a text into, its words and what stands between them. */
interface Splitter {
  split(text: string): string[];
}

/** What is needed of the library's Tokenizer. It looks for some added tokens in the text, for the others in the normalised one. */
export interface Splitting {
  normalizer: ((text: string) => string) | null;
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
}

/** The word characters of Rust's `\w`, as the inside of a class. Hugging Face's tokenizers looks for them at both neighbours. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const ENDS_IN_WORD = new RegExp(`[${WORD}]$`, 'u');
const BEGINS_WITH_WORD = new RegExp(`^[${WORD}]`, 'u');

/** Lets `library` leave those `tokens` that are single words where they touch another word. */
export function leaveInsideWords(library: Splitting, tokens: readonly AddedToken[]): void {
  if (!tokens.some((token) => token.single_word)) return;
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
    return parts;
  };
}

function touchesWord(text: string, at: number, length: number): boolean {
  const end = at + length;
  // Two units hold any one character.
  return (
    ENDS_IN_WORD.test(text.slice(Math.max(0, at - 2), at)) || BEGINS_WITH_WORD.test(text.slice(end, end + 2))
  );
}
