// Confidence intervals: Wilson's for a plain proportion, the percentile bootstrap over questions for everything else.
// Questions are the unit of resampling, because samples of one question are not independent.

import { seededRandom } from '@baton/split';

export interface Interval {
  low: number;
  high: number;
}

/** Two-sided 95 % point of the normal distribution. */
const Z95 = 1.959963984540054;

const RESAMPLES = 2000;

/** Wilson's score interval, 95 % (Wilson 1927, J. Am. Stat. Assoc. 22). The whole range for no trials. */
export function wilson(successes: number, trials: number): Interval {
  if (trials === 0) return { low: 0, high: 1 };
  const p = successes / trials;
  const z2 = Z95 * Z95;
  const centre = (p + z2 / (2 * trials)) / (1 + z2 / trials);
  const half = (Z95 / (1 + z2 / trials)) * Math.sqrt((p * (1 - p)) / trials + z2 / (4 * trials * trials));
  // At 0 and at `trials` successes the bound is exactly 0 or 1; rounding must not move it.
  return {
    low: successes === 0 ? 0 : Math.max(0, centre - half),
    high: successes === trials ? 1 : Math.min(1, centre + half),
  };
}

/**
 * Percentile bootstrap, 95 %, 2,000 resamples of whole items. `statistic` gets indices with repeats and may return null
 * (undefined on that resample: it is left out). Null when fewer than two items, or when most resamples are undefined.
 */
export function bootstrap(
  items: number,
  statistic: (indices: Int32Array) => number | null,
  seed = 1,
): Interval | null {
  if (items < 2) return null;
  const random = seededRandom(seed);
  const indices = new Int32Array(items);
  const values: number[] = [];
  for (let r = 0; r < RESAMPLES; r++) {
    for (let i = 0; i < items; i++) indices[i] = Math.floor(random() * items);
    const value = statistic(indices);
    if (value !== null && Number.isFinite(value)) values.push(value);
  }
  if (values.length < RESAMPLES / 2) return null;
  values.sort((a, b) => a - b);
  return { low: quantileSorted(values, 0.025), high: quantileSorted(values, 0.975) };
}

export function mean(values: ArrayLike<number>): number | null {
  if (values.length === 0) return null;
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}

export function median(values: readonly number[]): number | null {
  return quantile(values, 0.5);
}

/** Quantile with linear interpolation between order statistics (R's type 7); null for no values. */
export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null;
  return quantileSorted(
    [...values].sort((a, b) => a - b),
    q,
  );
}

function quantileSorted(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const low = sorted[below]!;
  return low + (at - below) * ((sorted[below + 1] ?? low) - low);
}
