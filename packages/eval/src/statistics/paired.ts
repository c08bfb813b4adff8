// Comparing two arms question by question. Pairing removes the spread between easy and hard questions, which is most of
// the variance, so differences of a few points become visible with some hundreds of questions.

import { bootstrap } from './intervals.ts';
import type { Interval } from './intervals.ts';

export interface PairedComparison {
  questions: number;
  /** Mean over questions of (accuracy of b - accuracy of a). */
  difference: number;
  /** 95 %, bootstrap over questions. */
  interval: Interval | null;
  /** Questions on which only b (only a) was better. */
  better: number;
  worse: number;
  /** Two-sided exact sign test on better against worse (McNemar's exact test when there is one sample per question). */
  pValue: number;
}

/** Compares per-question accuracies in the same order; both arrays hold the same questions. */
export function comparePaired(a: readonly number[], b: readonly number[], seed = 1): PairedComparison {
  const differences = a.map((value, i) => b[i]! - value);
  const total = (indices: ArrayLike<number>): number => {
    let sum = 0;
    for (let i = 0; i < indices.length; i++) sum += differences[indices[i]!]!;
    return sum / indices.length;
  };
  const better = differences.filter((d) => d > 0).length;
  const worse = differences.filter((d) => d < 0).length;
  return {
    questions: differences.length,
    difference: differences.length === 0 ? 0 : total(differences.map((_, i) => i)),
    interval: bootstrap(differences.length, total, seed),
    better,
    worse,
    pValue: signTest(better, worse),
  };
}

/** Two-sided exact binomial test of better = worse. 1 when there is no difference at all. */
export function signTest(better: number, worse: number): number {
  const n = better + worse;
  const extreme = Math.min(better, worse);
  let logTerm = -n * Math.LN2;
  let tail = 0;
  for (let i = 0; i <= extreme; i++) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((n - i) / (i + 1));
  }
  return Math.min(1, 2 * tail);
}

/**
 * Share of the gap between small and large that an arm closes: (arm - small) / (large - small), from per-question
 * accuracies in the same order, with a bootstrap interval. Null where large is not better than small.
 */
export function gapClosed(
  small: readonly number[],
  large: readonly number[],
  arm: readonly number[],
  seed = 1,
): { value: number; interval: Interval | null } | null {
  const over = (indices: ArrayLike<number>): number | null => {
    let gained = 0;
    let gap = 0;
    for (let i = 0; i < indices.length; i++) {
      const at = indices[i]!;
      gained += arm[at]! - small[at]!;
      gap += large[at]! - small[at]!;
    }
    return gap <= 0 ? null : gained / gap;
  };
  const value = over(small.map((_, i) => i));
  return value === null ? null : { value, interval: bootstrap(small.length, over, seed) };
}
