// The gated activation of the feed-forward block. Gate and up rows are packed in alternating panels, so one pass leaves
// 8 gate numbers, then 8 up numbers, and so on; this folds 16 into 8.
import { sigmoid4, tanh4 } from './math';

@inline
function silu(x: v128): v128 {
  return f32x4.mul(x, sigmoid4(x));
}

/** gelu, tanh form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
@inline
function gelu(x: v128): v128 {
  const cube = f32x4.mul(f32x4.mul(x, x), x);
  const inner = f32x4.mul(f32x4.add(x, f32x4.mul(cube, f32x4.splat(0.044715))), f32x4.splat(0.7978845608028654));
  return f32x4.mul(f32x4.mul(x, f32x4.splat(0.5)), f32x4.add(tanh4(inner), f32x4.splat(1)));
}

/** out[8 * i + j] = f(both[16 * i + j]) * both[16 * i + 8 + j] for i < groups; kind 0 is silu, 1 gelu (tanh form). */
export function gated(both: usize, groups: i32, kind: i32, out: usize): void {
  for (let i = 0; i < groups; i++) {
    const g = v128.load(both), h = v128.load(both, 16);
    v128.store(out, f32x4.mul(kind == 0 ? silu(g) : gelu(g), v128.load(both, 32)));
    v128.store(out, f32x4.mul(kind == 0 ? silu(h) : gelu(h), v128.load(both, 48)), 16);
    both += 64;
    out += 32;
  }
}
