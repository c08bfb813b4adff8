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

/** `offset`: UTF-16 units of text before the first entry. `top` 0 gives no alternatives. */
export function completionLogprobs(
  entries: readonly (Entry | PromptToken)[],
  offset: number,
  top: number,
  bytes: TokenBytes,
): CompletionLogprobs {
  let at = offset;
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
    out.text_offset.push(at);
    at += entry.text.includes('\uFFFD') ? 0 : entry.text.length;
  }
  return out;
}

export function chatLogprobs(entries: TextChunk['logprobs'], bytes: TokenBytes): object {
  const one = (t: TokenLogprob): object => ({
    token: tokenName(t, bytes),
    logprob: t.logprob,
    bytes: [...(bytes(t.id) ?? new TextEncoder().encode(t.text))],
  });
  return { content: (entries ?? []).map((t) => ({ ...one(t), top_logprobs: (t.top ?? []).map(one) })) };
}

function tokenName(token: { id: number; text: string }, bytes: TokenBytes): string {
  if (!token.text.includes('\uFFFD')) return token.text;
  const own = bytes(token.id);
  if (!own) return token.text;
  return `bytes:${[...own].map((b) => `\\x${b.toString(16).padStart(2, '0')}`).join('')}`;
}
