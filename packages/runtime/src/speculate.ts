// Prompt-lookup speculative decoding (Saxena 2023): where the last tokens occurred before, what followed them then is
// guessed to follow again, and one prefill pass checks the whole guess. Exact: each token is chosen from the logits that
// plain decoding would have had, so only the number of passes changes. Worth it for text that repeats its prompt.

import type { Decoder } from './decoder.ts';
import type { Sampler } from './sampling/sampler.ts';

/** A token that has been chosen, with the logits it was chosen from. */
export interface Chosen {
  id: number;
  logits: Float32Array;
}

/** Longest and shortest ending that is looked up. One token alone says too little. */
const LONGEST_MATCH = 4;
const SHORTEST_MATCH = 2;

/** Up to `most` tokens that followed the latest earlier occurrence of the longest ending of `tokens`; may be none. */
export function lookUp(tokens: readonly number[], most: number): number[] {
  for (let n = Math.min(LONGEST_MATCH, tokens.length - 1); n >= SHORTEST_MATCH; n--) {
    const tail = tokens.length - n;
    for (let at = tail - 1; at >= 0; at--) {
      let same = 0;
      while (same < n && tokens[at + same] === tokens[tail + same]) same++;
      if (same === n) return tokens.slice(at + n, at + n + most);
    }
  }
  return [];
}

/**
 * Runs `pending` and a guess of up to `most` tokens through `decoder` in one pass and chooses tokens until one differs
 * from the guess. The decoder then holds all chosen tokens but the last. Null where there is nothing to guess.
 */
export async function speculate(
  decoder: Decoder,
  sampler: Sampler,
  pending: readonly number[],
  most: number,
  stopIds: ReadonlySet<number>,
  signal: AbortSignal | undefined,
): Promise<Chosen[] | null> {
  const base = decoder.length + pending.length;
  const room = Math.min(most, decoder.capacity - base - 1, decoder.steadyTo(base) - base);
  const guess = room > 0 ? lookUp([...decoder.tokens, ...pending], room) : [];
  if (guess.length === 0) return null;
  const { logits } = await decoder.ingest([...pending, ...guess], { logits: 'all', signal });
  const size = decoder.backend.vocabSize;
  const chosen: Chosen[] = [];
  for (let i = 0; i <= guess.length; i++) {
    const row = pending.length - 1 + i;
    const own = logits!.subarray(row * size, (row + 1) * size);
    const id = sampler.next(own);
    chosen.push({ id, logits: own });
    if (id !== guess[i] || stopIds.has(id)) break;
  }
  decoder.rollback(base + chosen.length - 1);
  return chosen;
}
