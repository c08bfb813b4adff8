// Rotary tables, computed by the host in double precision and given to the graphs as f32 rows. Half-split rotation with
// the sign folded in: rotated = x * cos + swapHalves(x) * sin, where the first half of `sin` is negated.
import type { ManifestRope } from '../manifest.ts';

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
