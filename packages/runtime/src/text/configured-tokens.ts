// The added tokens that tokenizer_config.json lists. transformers adds them to those of tokenizer.json when it loads a tokenizer, and where both
// have one, the configuration's flags count (tokenization_utils_tokenizers.py, 5.18; tokenization_utils_fast.py since 4.34).

import type { TokenizerJson } from './token-bytes.ts';

type AddedToken = NonNullable<TokenizerJson['added_tokens']>[number];

/** A copy of tokenizer.json with the configuration's tokens among its own; the same object where there are none. */
export function withConfiguredTokens(json: object, config: unknown): object {
  const { added_tokens_decoder: listed } = (config ?? {}) as { added_tokens_decoder?: unknown };
  if (typeof listed !== 'object' || listed === null) return json;
  const { added_tokens: own = [], model } = json as TokenizerJson & { model?: { vocab?: unknown } };
  const tokens = new Map(own.map((token) => [token.content, token]));
  for (const [index, token] of Object.entries(listed as Record<string, Partial<AddedToken> | null>)) {
    const content = token?.content;
    if (typeof content !== 'string' || content === '') continue;
    const id = tokens.get(content)?.id ?? idIn(model?.vocab, content) ?? Number(index);
    tokens.set(content, { ...FLAGS, ...token, content, id });
  }
  return { ...json, added_tokens: [...tokens.values()] };
}

/** What a flag is where it is not given. */
const FLAGS = { single_word: false, lstrip: false, rstrip: false, special: false } as const;

/** Id of a token of the vocabulary; Unigram's is a list, whose places are the ids. */
function idIn(vocab: unknown, content: string): number | undefined {
  if (Array.isArray(vocab)) {
    const at = (vocab as [string, number][]).findIndex(([piece]) => piece === content);
    return at < 0 ? undefined : at;
  }
  const known = (vocab ?? {}) as Record<string, number>;
  return Object.hasOwn(known, content) ? known[content] : undefined;
}
