// Vector arithmetic that WebAssembly lacks: a multiply-add that is fused where relaxed SIMD is compiled in (last-bit
// differences between machines only), exp, tanh, sigmoid and lane sums.

import { constant, EXP_LEAST, EXP_MOST, EXP_P, EXP_ROUND, EXP2_P, LN2_HIGH, LN2_LOW, LOG2_E, ONE } from './constants';

@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_madd<f32>(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

@inline
export function sumLanes(v: v128): f32 {
  v = f32x4.add(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1);
}

@inline
export function maxLanes(v: v128): f32 {
  v = f32x4.pmax(v, v128.shuffle<f32>(v, v, 2, 3, 0, 1));
  return max<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1));
}

/**
 * e^x, relative error below 2e-7 on [-87, 88]; 0 below -87.3, held at e^88 above; NaN stays NaN. Range reduction by
 * ln 2 in two parts and the degree-6 minimax polynomial of Cephes expf (Moshier, public domain). Adding 1.5 * 2^23 rounds
 * to an integer and leaves it in the low bits; pmin and pmax are one instruction on x86 where min and max are seven.
 */
@inline
export function exp4(x: v128): v128 {
  const c = f32x4.pmin(f32x4.pmax(x, constant(EXP_LEAST)), constant(EXP_MOST));
  const round = constant(EXP_ROUND);
  const bits = madd(c, constant(LOG2_E), round);
  const n = f32x4.sub(bits, round);
  let r = madd(n, constant(LN2_HIGH), c);
  r = madd(n, constant(LN2_LOW), r);
  let p = constant(EXP_P);
  p = madd(p, r, constant(EXP_P + 1));
  p = madd(p, r, constant(EXP_P + 2));
  p = madd(p, r, constant(EXP_P + 3));
  p = madd(p, r, constant(EXP_P + 4));
  p = madd(p, r, constant(EXP_P + 5));
  p = madd(p, f32x4.mul(r, r), f32x4.add(r, constant(ONE)));
  const power = i32x4.add(i32x4.shl(bits, 23), constant(ONE));
  return v128.andnot(f32x4.mul(p, power), f32x4.lt(x, constant(EXP_LEAST)));
}

/**
 * 2^x, relative error below 2.7e-6, on [-126, 127]: the rounding of exp4, and the polynomial of degree 4 with the least
 * relative error on [-0.5, 0.5] (fitted by Lawson's reweighted least squares). Half of what exp4 takes.
 */
@inline
export function exp2Coarse(x: v128): v128 {
  const round = constant(EXP_ROUND);
  const bits = f32x4.add(x, round);
  const r = f32x4.sub(x, f32x4.sub(bits, round));
  let p = constant(EXP2_P);
  p = madd(p, r, constant(EXP2_P + 1));
  p = madd(p, r, constant(EXP2_P + 2));
  p = madd(p, r, constant(EXP2_P + 3));
  p = madd(p, r, constant(EXP2_P + 4));
  return i32x4.add(p, i32x4.shl(bits, 23));
}

/** 1 / (1 + e^-x) */
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** tanh x = 2 sigmoid(2x) - 1; absolute error below 3e-7. */
@inline
export function tanh4(x: v128): v128 {
  return f32x4.sub(f32x4.mul(f32x4.splat(2), sigmoid4(f32x4.add(x, x))), f32x4.splat(1));
}
