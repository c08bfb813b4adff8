// Attention of one token over the live slots of one key-value head, for up to three of its query heads at a time.
//
// Keys: [slot][width] int16, scale per slot. Values: [width / 16][slot][16] int16, scale per slot, so that both passes
// read memory in order. Query and keys multiply as integers: with |q|, |k| <= limit = sqrt(2^31 / (width / 4)) a lane,
// which sums width / 4 products, cannot overflow. The scales of four slots are applied by one multiply; those of the
// values go into the probabilities.
import { quantizeRow } from './cache';
import { constant, NOTHING } from './constants';
import { exp4, madd, maxLanes, sumLanes, tanh4 } from './math';

@inline
function dot16(a: v128, b: v128, sum: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, b));
}

/** Lane sums of four integer vectors, as f32x4; in f32, because only the lanes, not their sum, are sure to fit. */
@inline
function lanes(a: v128, b: v128, c: v128, d: v128): v128 {
  a = f32x4.convert_i32x4_s(a);
  b = f32x4.convert_i32x4_s(b);
  c = f32x4.convert_i32x4_s(c);
  d = f32x4.convert_i32x4_s(d);
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

/** Scores of slots first .. last - 1 (both multiples of 4) for `n` queries, n constant where this is inlined. */
@inline
function score(
  n: i32, q: usize, width: i32, keys: usize, keyScales: usize, first: i32, last: i32, scores: usize, stride: usize,
  s0: f32, s1: f32, s2: f32,
): void {
  const row = <usize>width << 1;
  const q1 = q + row, q2 = q1 + row;
  const f0 = f32x4.splat(s0), f1 = f32x4.splat(s1), f2 = f32x4.splat(s2);
  let k0 = keys + <usize>first * row;
  for (let slot = first; slot < last; slot += 4) {
    const k1 = k0 + row, k2 = k1 + row, k3 = k2 + row;
    let a0 = i32x4.splat(0), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0, a2 = a0, b2 = a0, c2 = a0, d2 = a0;
    for (let i: usize = 0; i < row; i += 16) {
      const a = v128.load(k0 + i), b = v128.load(k1 + i), c = v128.load(k2 + i), d = v128.load(k3 + i);
      let x = v128.load(q + i);
      a0 = dot16(x, a, a0); b0 = dot16(x, b, b0); c0 = dot16(x, c, c0); d0 = dot16(x, d, d0);
      if (n > 1) {
        x = v128.load(q1 + i);
        a1 = dot16(x, a, a1); b1 = dot16(x, b, b1); c1 = dot16(x, c, c1); d1 = dot16(x, d, d1);
      }
      if (n > 2) {
        x = v128.load(q2 + i);
        a2 = dot16(x, a, a2); b2 = dot16(x, b, b2); c2 = dot16(x, c, c2); d2 = dot16(x, d, d2);
      }
    }
    const f = v128.load(keyScales + (<usize>slot << 2));
    const o = scores + (<usize>(slot - first) << 2);
    v128.store(o, f32x4.mul(lanes(a0, b0, c0, d0), f32x4.mul(f, f0)));
    if (n > 1) v128.store(o + stride, f32x4.mul(lanes(a1, b1, c1, d1), f32x4.mul(f, f1)));
    if (n > 2) v128.store(o + 2 * stride, f32x4.mul(lanes(a2, b2, c2, d2), f32x4.mul(f, f2)));
    k0 += 4 * row;
  }
}

/** Scores of slots begin .. end - 1 become probabilities times the value scales, zero outside; returns 1 / sum. */
function weigh(scores: usize, first: i32, last: i32, begin: i32, end: i32, cap: f32, valueScales: usize): f32 {
  const bytes = <usize>(last - first) << 2;
  if (cap > 0) {
    const c = f32x4.splat(cap), inverse = f32x4.splat(1 / cap);
    for (let i: usize = 0; i < bytes; i += 16) {
      v128.store(scores + i, f32x4.mul(c, tanh4(f32x4.mul(v128.load(scores + i), inverse))));
    }
  }
  for (let s = first; s < begin; s++) store<f32>(scores + (<usize>(s - first) << 2), -Infinity);
  for (let s = end; s < last; s++) store<f32>(scores + (<usize>(s - first) << 2), -Infinity);
  let m = v128.load(scores);
  for (let i: usize = 16; i < bytes; i += 16) m = f32x4.pmax(m, v128.load(scores + i));
  const top = f32x4.splat(maxLanes(m));
  let sum = f32x4.splat(0);
  const vs = valueScales + (<usize>first << 2);
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = exp4(f32x4.sub(v128.load(scores + i), top));
    // Below 1e-30 nothing is left beside the largest, which is 1; times a scale it could become subnormal, which is slow.
    const e = v128.andnot(x, f32x4.lt(x, constant(NOTHING)));
    sum = f32x4.add(sum, e);
    v128.store(scores + i, f32x4.mul(e, v128.load(vs + i)));
  }
  return 1 / sumLanes(sum);
}

/**
 * out[query][0 .. width - 1] = sum over slots of probability * value, times 1 / sum. Eight columns at a time: with 16,
 * three queries need more registers than x86 has, which took 1.9 times as long.
 */
@inline
function collect(
  n: i32, width: i32, values: usize, blockStride: usize, first: i32, begin: i32, end: i32, scores: usize, stride: usize,
  r0: f32, r1: f32, r2: f32, out: usize, outStride: usize,
): void {
  for (let d = 0; d < width; d += 8) {
    let a0 = f32x4.splat(0), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0;
    let c0 = a0, d0 = a0, c1 = a0, d1 = a0, c2 = a0, d2 = a0;
    const column = values + <usize>(d >> 4) * blockStride + <usize>((d & 8) << 1);
    let v = column + (<usize>begin << 5);
    const stop = column + (<usize>end << 5);
    let p = scores + (<usize>(begin - first) << 2);
    for (; v + 32 < stop; v += 64) {
      let a = f32x4.convert_i32x4_s(v128.load16x4_s(v)), b = f32x4.convert_i32x4_s(v128.load16x4_s(v, 8));
      let x = v128.load32_splat(p);
      a0 = madd(x, a, a0); b0 = madd(x, b, b0);
      if (n > 1) {
        x = v128.load32_splat(p + stride);
        a1 = madd(x, a, a1); b1 = madd(x, b, b1);
      }
      if (n > 2) {
        x = v128.load32_splat(p + 2 * stride);
        a2 = madd(x, a, a2); b2 = madd(x, b, b2);
      }
      a = f32x4.convert_i32x4_s(v128.load16x4_s(v, 32)); b = f32x4.convert_i32x4_s(v128.load16x4_s(v, 40));
      x = v128.load32_splat(p, 4);
      c0 = madd(x, a, c0); d0 = madd(x, b, d0);
      if (n > 1) {
        x = v128.load32_splat(p + stride, 4);
        c1 = madd(x, a, c1); d1 = madd(x, b, d1);
      }
      if (n > 2) {
        x = v128.load32_splat(p + 2 * stride, 4);
        c2 = madd(x, a, c2); d2 = madd(x, b, d2);
      }
      p += 8;
    }
    if (v < stop) {
      const a = f32x4.convert_i32x4_s(v128.load16x4_s(v)), b = f32x4.convert_i32x4_s(v128.load16x4_s(v, 8));
      let x = v128.load32_splat(p);
      a0 = madd(x, a, a0); b0 = madd(x, b, b0);
      if (n > 1) {
        x = v128.load32_splat(p + stride);
        a1 = madd(x, a, a1); b1 = madd(x, b, b1);
      }
      if (n > 2) {
        x = v128.load32_splat(p + 2 * stride);
        a2 = madd(x, a, a2); b2 = madd(x, b, b2);
      }
    }
    a0 = f32x4.add(a0, c0); b0 = f32x4.add(b0, d0);
    a1 = f32x4.add(a1, c1); b1 = f32x4.add(b1, d1);
    a2 = f32x4.add(a2, c2); b2 = f32x4.add(b2, d2);
    keep(out, r0, a0, b0);
    if (n > 1) keep(out + outStride, r1, a1, b1);
    if (n > 2) keep(out + 2 * outStride, r2, a2, b2);
    out += 32;
  }
}

@inline
function keep(out: usize, r: f32, a: v128, b: v128): void {
  const s = f32x4.splat(r);
  v128.store(out, f32x4.mul(a, s));
  v128.store(out, f32x4.mul(b, s), 16);
}

/**
 * out[query] = softmax(scale * q . K) V over slots begin .. end - 1 for `queries` (1..3) query heads of one key-value
 * head, `cap` > 0 bounding the scores by cap * tanh(s / cap). q and out rows are `stride` bytes apart (width floats,
 * padded to 16). `scratch` has room for 3 * (2 * width + 4 * scoreSlots) bytes, scoreSlots >= end - begin + 8.
 * Slots up to the next multiple of 4 behind `end` must exist; what they hold does not matter if it is finite.
 */
export function attend(
  q: usize, queries: i32, stride: usize, width: i32, keys: usize, keyScales: usize, values: usize, valueScales: usize,
  blockStride: usize, begin: i32, end: i32, scale: f32, cap: f32, limit: f32, scratch: usize, scoreSlots: i32, out: usize,
): void {
  const first = begin & ~3, last = (end + 3) & ~3;
  const row = <usize>width << 1;
  const s0 = quantizeRow(q, width, limit, scratch) * scale;
  const s1 = queries > 1 ? quantizeRow(q + stride, width, limit, scratch + row) * scale : 0;
  const s2 = queries > 2 ? quantizeRow(q + 2 * stride, width, limit, scratch + 2 * row) * scale : 0;
  const scores = scratch + 3 * row;
  const scoreStride = <usize>scoreSlots << 2;
  if (queries == 3) score(3, scratch, width, keys, keyScales, first, last, scores, scoreStride, s0, s1, s2);
  else if (queries == 2) score(2, scratch, width, keys, keyScales, first, last, scores, scoreStride, s0, s1, s2);
  else score(1, scratch, width, keys, keyScales, first, last, scores, scoreStride, s0, s1, s2);
  const r0 = weigh(scores, first, last, begin, end, cap, valueScales);
  const r1 = queries > 1 ? weigh(scores + scoreStride, first, last, begin, end, cap, valueScales) : 0;
  const r2 = queries > 2 ? weigh(scores + 2 * scoreStride, first, last, begin, end, cap, valueScales) : 0;
  if (queries == 3) collect(3, width, values, blockStride, first, begin, end, scores, scoreStride, r0, r1, r2, out, stride);
  else if (queries == 2) collect(2, width, values, blockStride, first, begin, end, scores, scoreStride, r0, r1, r2, out, stride);
  else collect(1, width, values, blockStride, first, begin, end, scores, scoreStride, r0, r1, r2, out, stride);
}
