// Rotary tables, computed by the host in double precision and given to the graphs as f32 rows. Half-split rotation with
// the sign folded in: rotated = x * cos + swapHalves(x) * sin, where the first half of `sin` is negated.
import type { ManifestRope } from '../manifest.ts';

/** The table for a cache of `capacity` slots. */
export function ropeAt(rope: ManifestRope, capacity: number): ManifestRope {
  const shorter = rope.shorter?.find((s) => capacity <= s.capacity);
  return shorter ? { ...rope, inverseFrequencies: shorter.inverseFrequencies } : rope;
}

/**
 * Capacities of which the keys are rotated otherwise than those of the next smaller one: growing to or past one of them,
 * a sequence has to be run again. Empty for most models.
 */
export function rotationChanges(ropes: readonly ManifestRope[], capacities: readonly number[]): number[] {
  const tables = (capacity: number) =>
    JSON.stringify(ropes.map((rope) => ropeAt(rope, capacity).inverseFrequencies));
  return capacities.filter((c, i) => i > 0 && tables(c) !== tables(capacities[i - 1]!));
}

/**
 * Fills rows of cos and sin, f32 [rows, rope.dims] each, for positions `first .. first + rows - 1`. `cos` and `sin` may
 * be longer than needed; what lies behind stays as it is.
 */
export function ropeRows(
  rope: ManifestRope,
  first: number,
  rows: number,
  cos: Float32Array = new Float32Array(rows * rope.dims),
  sin: Float32Array = new Float32Array(rows * rope.dims),
): { cos: Float32Array; sin: Float32Array } {
  const half = rope.dims / 2;
  for (let r = 0; r < rows; r++) {
    const at = r * rope.dims;
    for (let j = 0; j < half; j++) {
      const angle = (first + r) * rope.inverseFrequencies[j]!;
      const c = Math.cos(angle) * rope.attentionFactor;
      const s = Math.sin(angle) * rope.attentionFactor;
      cos[at + j] = c;
      cos[at + half + j] = c;
      sin[at + j] = -s;
      sin[at + half + j] = s;
    }
  }
  return { cos, sin };
}
