// AssemblyScript, not TypeScript. Symmetric quantisation of f32 groups with SIMD; what it computes is described in
// src/weights/convert.ts.
import { add, report } from './errors';

function sumLanes(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) +
    f32x4.extract_lane(v, 1) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

function largest(from: usize, group: usize): f32 {
  const vectors = group & ~3;
  let most = f32x4.splat(0);
  for (let k: usize = 0; k < vectors; k += 4) {
    most = f32x4.max(most, f32x4.abs(v128.load(from + (k << 2))));
  }
  let max = Mathf.max(
    Mathf.max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)),
    Mathf.max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)),
  );
  for (let k = vectors; k < group; k++) max = Mathf.max(max, Mathf.abs(load<f32>(from + (k << 2))));
  return max;
}

function clamp(q: f32, low: f32, high: f32): f32 {
  return Mathf.min(high, Mathf.max(low, nearest<f32>(q)));
}

/** The scale with the least squared error among the fits of all trials. */
function fit(from: usize, group: usize, max: f32, low: f32, high: f32, divisors: usize, trials: usize): f32 {
  const vectors = group & ~3;
  const lows = f32x4.splat(low);
  const highs = f32x4.splat(high);
  let bestGain: f32 = -1;
  let best: f32 = 0;
  for (let t: usize = 0; t < trials; t++) {
    const inverse = load<f32>(divisors + (t << 2)) / max;
    const inverses = f32x4.splat(inverse);
    let wqs = f32x4.splat(0);
    let qqs = f32x4.splat(0);
    for (let k: usize = 0; k < vectors; k += 4) {
      const w = v128.load(from + (k << 2));
      const q = f32x4.pmin(f32x4.pmax(f32x4.nearest(f32x4.mul(w, inverses)), lows), highs);
      wqs = f32x4.add(wqs, f32x4.mul(w, q));
      qqs = f32x4.add(qqs, f32x4.mul(q, q));
    }
    let wq = sumLanes(wqs);
    let qq = sumLanes(qqs);
    for (let k = vectors; k < group; k++) {
      const w = load<f32>(from + (k << 2));
      const q = clamp(w * inverse, low, high);
      wq += w * q;
      qq += q * q;
    }
    const scale = wq / qq;
    const gain = wq * scale;
    if (gain > bestGain) {
      bestGain = gain;
      best = scale;
    }
  }
  return best;
}

/** Integers of one group to i8 at `integers` (room for a multiple of 16), and its share of the error sums. */
function round(from: usize, group: usize, scale: f32, low: f32, high: f32, integers: usize): void {
  const inverse: f32 = scale === 0 ? 0 : 1 / scale;
  const vectors = group & ~3;
  const lows = f32x4.splat(low);
  const highs = f32x4.splat(high);
  const inverses = f32x4.splat(inverse);
  const scales = f32x4.splat(scale);
  let errors = f32x4.splat(0);
  let sums = f32x4.splat(0);
  for (let k: usize = 0; k < vectors; k += 4) {
    const w = v128.load(from + (k << 2));
    const q = f32x4.pmin(f32x4.pmax(f32x4.nearest(f32x4.mul(w, inverses)), lows), highs);
    const e = f32x4.sub(w, f32x4.mul(q, scales));
    errors = f32x4.add(errors, f32x4.mul(e, e));
    sums = f32x4.add(sums, f32x4.mul(w, w));
    const i = i32x4.trunc_sat_f32x4_s(q);
    const h = i16x8.narrow_i32x4_s(i, i);
    v128.store32_lane(integers + k, i8x16.narrow_i16x8_s(h, h), 0);
  }
  let error = sumLanes(errors);
  let sum = sumLanes(sums);
  for (let k = vectors; k < group; k++) {
    const w = load<f32>(from + (k << 2));
    const q = clamp(w * inverse, low, high);
    const e = w - q * scale;
    error += e * e;
    sum += w * w;
    store<i8>(integers + k, <i8>q);
  }
  add(error, sum);
}

/** i8 pairs to nibbles, even index low. `group` is even. */
function packNibbles(integers: usize, group: usize, zeroPoint: i32, to: usize): void {
  const zero = i8x16.splat(<i8>zeroPoint);
  const mask = i8x16.splat(15);
  let k: usize = 0;
  for (; k + 16 <= group; k += 16) {
    const nibbles = v128.and(i8x16.add(v128.load(integers + k), zero), mask);
    // In each 16-bit lane: low byte is the even value, high byte the odd one.
    const pairs = v128.and(v128.or(nibbles, i16x8.shr_u(nibbles, 4)), i16x8.splat(255));
    v128.store64_lane(to + (k >> 1), i8x16.narrow_i16x8_u(pairs, pairs), 0);
  }
  for (; k < group; k += 2) {
    const even = (<i32>load<i8>(integers + k) + zeroPoint) & 15;
    const odd = (<i32>load<i8>(integers + k + 1) + zeroPoint) & 15;
    store<u8>(to + (k >> 1), <u8>(even | (odd << 4)));
  }
}

function addZero(integers: usize, group: usize, zeroPoint: i32, to: usize): void {
  for (let k: usize = 0; k < group; k++) {
    store<u8>(to + k, <u8>(<i32>load<i8>(integers + k) + zeroPoint));
  }
}

/**
 * Quantises `groups` groups of `group` f32 at `values`: integers to `data`, one f32 scale per group to `scales`.
 * `divisors` holds `trials` f32. `scratch` has room for `group` + 16 bytes.
 */
export function quantise(
  values: usize,
  groups: usize,
  group: usize,
  bits: i32,
  zeroPoint: i32,
  divisors: usize,
  trials: usize,
  data: usize,
  scales: usize,
  scratch: usize,
): void {
  const high: f32 = bits === 4 ? 7 : 127;
  const low: f32 = bits === 4 ? -8 : -127;
  report(0, 0);
  for (let g: usize = 0; g < groups; g++) {
    const from = values + ((g * group) << 2);
    const max = largest(from, group);
    // Smaller groups are zero for every purpose, and 1 / max would overflow.
    const scale: f32 = max < 1e-35 ? 0 : fit(from, group, max, low, high, divisors, trials);
    store<f32>(scales + (g << 2), scale);
    round(from, group, scale, low, high, scratch);
    if (bits === 4) packNibbles(scratch, group, zeroPoint, data + ((g * group) >> 1));
    else addZero(scratch, group, zeroPoint, data + g * group);
  }
}
