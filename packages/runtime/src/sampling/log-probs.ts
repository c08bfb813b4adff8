// Logits to log-probabilities: log-sum-exp in double, the best few, and the watched columns. No sampling here.

import type { WatchedRow } from '../backend.ts';

/** Index of the largest logit; the lowest index of equals, as torch.argmax and numpy do on CPU. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** ln(sum(exp(logits))), shifted by the maximum so that it cannot overflow. */
export function logSumExp(logits: Float32Array): number {
  let max = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > max) max = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - max);
  return max + Math.log(sum);
}

/** Natural-log probabilities of `ids`, and of the most likely id, at one position. */
export function watch(logits: Float32Array, ids: readonly number[]): WatchedRow {
  const lse = logSumExp(logits);
  const best = argmax(logits);
  return {
    logprobs: ids.map((id) => (logits[id] ?? -Infinity) - lse),
    argmax: best,
    argmaxLogprob: logits[best]! - lse,
  };
}

/** The `k` largest logits as {id, logprob}, best first. */
export function topLogprobs(logits: Float32Array, k: number): { id: number; logprob: number }[] {
  if (k <= 0) return [];
  const lse = logSumExp(logits);
  return topIds(logits, k).map((id) => ({ id, logprob: logits[id]! - lse }));
}

/** Ids of the `k` largest values, largest first; equals by id. */
export function topIds(values: Float32Array, k: number): number[] {
  if (k >= values.length) return [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
  // Insertion into a short sorted list: k is small, and almost every value fails the first comparison.
  const best: number[] = [];
  for (let id = 0; id < values.length; id++) {
    if (best.length === k && values[id]! <= values[best[k - 1]!]!) continue;
    let at = best.length;
    while (at > 0 && values[best[at - 1]!]! < values[id]!) at--;
    best.splice(at, 0, id);
    if (best.length > k) best.pop();
  }
  return best;
}
