// Additive masks over the past slots of the cache. What a chunk's rows see of each other is a constant of the graph.

/**
 * Added to the scores of what a row must not see. Finite, so that a row that sees nothing stays a number, and within
 * f16 even when a score is added to it (-65504 would overflow).
 */
export const MASKED = -1e4;

/** Rows of a `mask.m` input: one for all rows, unless a window makes rows differ. */
export function maskRows(window: number | null, length: number): number {
  return window === null ? 1 : length;
}

/**
 * Fills a mask, f32 [maskRows(window, length), capacity], for `length` rows of which row 0 is at slot `stored`: slot s
 * is visible to row r if s < stored and, with a window, s > stored + r - window.
 */
export function pastMask(
  window: number | null,
  stored: number,
  length: number,
  capacity: number,
  out: Float32Array = new Float32Array(maskRows(window, length) * capacity),
): Float32Array {
  for (let r = 0; r < maskRows(window, length); r++) {
    const from = window === null ? 0 : Math.min(stored, Math.max(0, stored + r - window + 1));
    const row = out.subarray(r * capacity, (r + 1) * capacity);
    row.fill(MASKED, 0, from);
    row.fill(0, from, stored);
    row.fill(MASKED, stored);
  }
  return out;
}
