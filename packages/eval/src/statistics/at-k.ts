// Accuracy from several samples per question, as functions of k: cov@k (any of k is right; the literature's pass@k) and
// maj@k (the most frequent answer of k is right). Both are exact expectations over all subsets of k of the n samples
// drawn, so they are unbiased and need no resampling.

/**
 * cov@k for one question: 1 - C(n-c, k) / C(n, k) with c of n samples right (Chen et al. 2021, "Evaluating Large
 * Language Models Trained on Code", eq. 1). Null when k > n.
 */
export function coverageAtK(samples: number, right: number, k: number): number | null {
  if (k > samples || k < 1) return null;
  let miss = 1;
  for (let i = 0; i < k; i++) miss *= Math.max(0, samples - right - i) / (samples - i);
  return 1 - miss;
}

/** How often each distinct answer was given. Samples without an answer abstain: they use up a draw but never win. */
export interface Votes {
  /** Votes for the right answer. */
  right: number;
  /** Votes for each wrong answer, one entry per distinct answer. */
  wrong: readonly number[];
  abstained: number;
}

/**
 * maj@k for one question: the probability that the most frequent answer among k samples drawn without replacement is
 * right; a tie counts as its share (drawing one of the tied answers). Null when k exceeds the samples.
 *
 * For every number v of right votes, the ways to fill the other k - v draws with each wrong answer at most v times are
 * counted by dynamic programming over (draws used, wrong answers tied at v).
 */
export function majorityAtK(votes: Votes, k: number): number | null {
  const samples = votes.right + votes.abstained + votes.wrong.reduce((sum, n) => sum + n, 0);
  if (k > samples || k < 1) return null;
  let won = 0;
  for (let v = 1; v <= Math.min(k, votes.right); v++) {
    const ways = waysBelow(votes, v, k - v);
    for (const [tied, count] of ways.entries()) won += (choose(votes.right, v) * count) / (tied + 1);
  }
  return won / choose(samples, k);
}

/** ways[t]: selections of `draws` non-right samples in which no wrong answer has more than v votes and t have exactly v. */
function waysBelow(votes: Votes, v: number, draws: number): number[] {
  let table: number[][] = [[1]];
  for (const count of votes.wrong) {
    const next: number[][] = [];
    for (const [used, byTied] of table.entries()) {
      for (let take = 0; take <= Math.min(count, v, draws - used); take++) {
        const ways = choose(count, take);
        const row = (next[used + take] ??= []);
        for (const [tied, n] of byTied.entries()) {
          const at = tied + (take === v ? 1 : 0);
          row[at] = (row[at] ?? 0) + (n ?? 0) * ways;
        }
      }
    }
    table = Array.from(next, (row) => Array.from(row ?? [], (n) => n ?? 0));
  }
  const total: number[] = [];
  for (const [used, byTied] of table.entries()) {
    const abstaining = choose(votes.abstained, draws - used);
    for (const [tied, n] of byTied.entries()) total[tied] = (total[tied] ?? 0) + n * abstaining;
  }
  return Array.from(total, (n) => n ?? 0);
}

/** Binomial coefficient as a double; 0 outside the triangle. Exact to 2^53, relative error about 1e-15 beyond. */
export function choose(n: number, k: number): number {
  if (k < 0 || k > n) return 0;
  let result = 1;
  for (let i = 1; i <= Math.min(k, n - k); i++) result = (result * (n - i + 1)) / i;
  return result;
}

/** 1, 2, 4 ... up to n, and n itself. */
export function powersOfTwo(n: number): number[] {
  const ks: number[] = [];
  for (let k = 1; k < n; k *= 2) ks.push(k);
  if (n >= 1) ks.push(n);
  return ks;
}
