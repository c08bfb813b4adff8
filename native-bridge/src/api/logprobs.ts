// Log-probabilities in OpenAI's two shapes: parallel arrays for completions, a list of objects for chat. A token that is
// part of a character is written as its bytes, "bytes:\xe2\x96", as OpenAI does.
import type { TextChunk, TokenLogprob } from '@baton/runtime/text-model';
import type { PromptToken } from '../engine/engine.ts';

export type TokenBytes = (id: number) => Uint8Array | undefined;

type Entry = { id: number; text: string; logprob: number | null; top?: readonly TokenLogprob[] };

export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: (number | null)[];
  top_logprobs: (Record<string, number> | null)[] | null;
  text_offset: number[];
}

/** Where the tokens of a choice begin in its text, in UTF-16 units. One that goes on with a character begins with that character. */
export class TextOffsets {
  readonly #characters = new TextDecoder('utf-8', { ignoreBOM: true });
  #at = 0;

  /** Where this token begins; the next one is behind it. */
  next(token: Uint8Array): number {
    const at = this.#at;
    this.#at += this.#characters.decode(token, { stream: true }).length;
    return at;
  }
}

/** `offsets` goes on from one call to the next of a choice. `top` 0 gives no alternatives. */
export function completionLogprobs(
  entries: readonly (Entry | PromptToken)[],
  offsets: TextOffsets,
  top: number,
  bytes: TokenBytes,
): CompletionLogprobs {
  const out: CompletionLogprobs = {
    tokens: [],
    token_logprobs: [],
    top_logprobs: top > 0 ? [] : null,
    text_offset: [],
  };
  for (const entry of entries) {
    out.tokens.push(tokenName(entry, bytes));
    out.token_logprobs.push(entry.logprob);
    out.top_logprobs?.push(
      entry.logprob === null
        ? null
        : Object.fromEntries((entry.top ?? []).map((t) => [tokenName(t, bytes), t.logprob])),
    );
    out.text_offset.push(offsets.next(ownBytes(entry, bytes)));
  }
  return out;
}

export function chatLogprobs(entries: TextChunk['logprobs'], bytes: TokenBytes): object {
  const one = (t: TokenLogprob): object => ({
    token: tokenName(t, bytes),
    logprob: t.logprob,
    bytes: [...ownBytes(t, bytes)],
  });
  return { content: (entries ?? []).map((t) => ({ ...one(t), top_logprobs: (t.top ?? []).map(one) })) };
}

/** The text of tokens together: characters may be spread over several. */
export function textOf(tokens: readonly { id: number; text: string }[], bytes: TokenBytes): string {
  return Buffer.concat(tokens.map((token) => ownBytes(token, bytes))).toString();
}

function ownBytes(token: { id: number; text: string }, bytes: TokenBytes): Uint8Array {
  return bytes(token.id) ?? new TextEncoder().encode(token.text);
}

function tokenName(token: { id: number; text: string }, bytes: TokenBytes): string {
  if (!token.text.includes('\uFFFD')) return token.text;
  const own = bytes(token.id);
  if (!own) return token.text;
  return `bytes:${[...own].map((b) => `\\x${b.toString(16).padStart(2, '0')}`).join('')}`;
}
