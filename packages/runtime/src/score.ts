// Per-position log-probabilities of a given token sequence, in chunks, so that memory stays at one chunk of logits.

import type { Decoder } from './decoder.ts';
import { RuntimeError } from './errors.ts';
import { topLogprobs, watch } from './sampling/log-probs.ts';

export interface ScoredToken {
  id: number;
  /** Natural-log probability of `id` given the tokens before it; null for the first, which nothing precedes. */
  logprob: number | null;
  /** The likeliest tokens at this place, best first; empty for the first. */
  top: { id: number; logprob: number }[];
}

/** Rolls `decoder` back to empty, then scores `ids`. Throws `bad-input` for none, `context-full` for too many. */
export async function scoreTokens(
  decoder: Decoder,
  ids: readonly number[],
  top: number,
): Promise<ScoredToken[]> {
  if (ids.length === 0)
    throw new RuntimeError('bad-input', 'there is nothing to score: give at least one token');
  decoder.rollback(0);
  const scored: ScoredToken[] = [{ id: ids[0]!, logprob: null, top: [] }];
  const size = decoder.backend.vocabSize;
  if (ids.length > decoder.capacity && decoder.whenFull === 'stop') {
    throw new RuntimeError(
      'context-full',
      `${ids.length} tokens do not fit in ${decoder.capacity} slots; compile with a larger --context`,
    );
  }
  const chunk = decoder.backend.maxRows;
  for (let at = 0; at < ids.length; at += chunk) {
    const part = ids.slice(at, at + chunk);
    const { logits } = await decoder.ingest(part, { logits: 'all', ahead: ids.length - at - part.length });
    for (let r = 0; r < part.length && at + r + 1 < ids.length; r++) {
      const row = logits!.subarray(r * size, (r + 1) * size);
      const id = ids[at + r + 1]!;
      scored.push({ id, logprob: watch(row, [id]).logprobs[0]!, top: topLogprobs(row, top) });
    }
  }
  return scored;
}
