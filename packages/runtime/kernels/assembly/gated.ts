// The gated activation of the feed-forward block. Gate and up rows are packed in alternating panels, so one pass leaves
// 8 gate numbers, then 8 up numbers, and so on; this folds 16 into 8.
import { exp4, madd, sigmoid4, tanh4 } from './math';

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

/** gelu: x (1 + erf(x / sqrt 2)) / 2, erf by Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7). */
@inline
function geluExact(x: v128): v128 {
  const one = f32x4.splat(1);
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.7071067811865476));
  const t = f32x4.div(one, madd(z, f32x4.splat(0.3275911), one));
  let p = f32x4.splat(1.061405429);
  p = madd(p, t, f32x4.splat(-1.453152027));
  p = madd(p, t, f32x4.splat(1.421413741));
  p = madd(p, t, f32x4.splat(-0.284496736));
  p = madd(p, t, f32x4.splat(0.254829592));
  const tail = f32x4.mul(f32x4.mul(p, t), exp4(f32x4.neg(f32x4.mul(z, z)))); // 1 - erf|z|
  const half = f32x4.mul(x, f32x4.splat(0.5));
  return v128.bitselect(f32x4.mul(half, tail), f32x4.mul(half, f32x4.sub(f32x4.splat(2), tail)), f32x4.lt(x, f32x4.splat(0)));
}

@inline
function activate(kind: i32, x: v128): v128 {
  if (kind == 0) return silu(x);
  return kind == 1 ? gelu(x) : geluExact(x);
}

/** out[8 * i + j] = f(both[16 * i + j]) * both[16 * i + 8 + j]; kind 0 is silu, 1 gelu in tanh form, 2 gelu. */
export function gated(both: usize, groups: i32, kind: i32, out: usize): void {
  for (let i = 0; i < groups; i++) {
    v128.store(out, f32x4.mul(activate(kind, v128.load(both)), v128.load(both, 32)));
    v128.store(out, f32x4.mul(activate(kind, v128.load(both, 16)), v128.load(both, 48)), 16);
    both += 64;
    out += 32;
  }
}
