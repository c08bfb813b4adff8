// Samples of a time, told by their least and their median: on a busy machine the least says what the code can do and the
// median what it did.

export interface Timing {
  /** Milliseconds. */
  min: number;
  median: number;
  samples: number;
}

export function timing(samples: readonly number[]): Timing {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { min: round(sorted[0]!), median: round(median), samples: sorted.length };
}

export const round = (x: number, digits = 3): number => Number(x.toFixed(digits));
