// Attention of one token over the live slots of one key-value head, for up to three of its query heads at a time.
//
// Keys: [slot][width] int16, scale per slot. Values: blocks of 16 slots, [width / 8][8][8][2] int16 each (columns in
// groups of 8, slots in twos side by side in a column), scale per slot. So both passes read memory from one end to the
// other, and both are integer products in pairs. With |q|, |k| <= limit = sqrt(2^31 / (width / 4)) a lane, which sums
// width / 4 products, cannot overflow. Probabilities have a scale per block and query: the largest is at most 32767 and all
// of a block together at most 65518, so that their products with values up to 32767 cannot either. A probability is off by
// 2^-16 of the largest in its block, or of half their sum where that is more. The scales of four keys are applied by one
// multiply; those of the values go into the probabilities.
import { quantizeRow } from './cache';
import { constant, EXP_ROUND, EXP2_LEAST } from './constants';
import { exp2Coarse, madd, maxLanes, sumLanes, tanh4 } from './math';

const LOG2_E: f32 = 1.44269504;
/** 32767 / 65518: 16 probabilities, each rounded up by half a unit at most, times 32767 stay below 2^31 together. */
const SHARE: f32 = 0.50013;

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
      const a = v128.load(k0 + i), b = v128.load(k1 + i);
      let x = v128.load(q + i);
      a0 = dot16(x, a, a0); b0 = dot16(x, b, b0);
      if (n > 1) { x = v128.load(q1 + i); a1 = dot16(x, a, a1); b1 = dot16(x, b, b1); }
      if (n > 2) { x = v128.load(q2 + i); a2 = dot16(x, a, a2); b2 = dot16(x, b, b2); }
    }
    for (let i: usize = 0; i < row; i += 16) {
      const c = v128.load(k2 + i), d = v128.load(k3 + i);
      let x = v128.load(q + i);
      c0 = dot16(x, c, c0); d0 = dot16(x, d, d0);
      if (n > 1) { x = v128.load(q1 + i); c1 = dot16(x, c, c1); d1 = dot16(x, d, d1); }
      if (n > 2) { x = v128.load(q2 + i); c2 = dot16(x, c, c2); d2 = dot16(x, d, d2); }
    }
    const f = v128.load(keyScales + (<usize>slot << 2));
    const o = scores + (<usize>(slot - first) << 2);
    v128.store(o, f32x4.mul(lanes(a0, b0, c0, d0), f32x4.mul(f, f0)));
    if (n > 1) v128.store(o + stride, f32x4.mul(lanes(a1, b1, c1, d1), f32x4.mul(f, f1)));
    if (n > 2) v128.store(o + 2 * stride, f32x4.mul(lanes(a2, b2, c2, d2), f32x4.mul(f, f2)));
    k0 += 4 * row;
  }
}

/** Four probabilities in units of 1 / inverse as integers: adding 1.5 * 2^23 rounds and leaves them in the low bits. */
@inline
function units(p: v128, inverse: v128, round: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(p, inverse), round), round);
}

/**
 * 16 scores become 2^(score - top) times the value scales, as 16 int16 and the f32 that one of their units stands for;
 * returns sums of the powers. `edge`, constant where this is inlined: scores of -Infinity stand for slots that are not seen,
 * whose scale may be anything. Elsewhere a power is held at 2^-80: times a scale nothing becomes subnormal, which is slow.
 */
@inline
function weighBlock(edge: bool, s: usize, top: v128, vs: usize): v128 {
  const least = constant(EXP2_LEAST), round = constant(EXP_ROUND);
  const x = f32x4.sub(v128.load(s), top), y = f32x4.sub(v128.load(s, 16), top);
  const z = f32x4.sub(v128.load(s, 32), top), w = f32x4.sub(v128.load(s, 48), top);
  let e = exp2Coarse(f32x4.pmax(x, least)), f = exp2Coarse(f32x4.pmax(y, least));
  let g = exp2Coarse(f32x4.pmax(z, least)), h = exp2Coarse(f32x4.pmax(w, least));
  let a = f32x4.mul(e, v128.load(vs)), b = f32x4.mul(f, v128.load(vs, 16));
  let c = f32x4.mul(g, v128.load(vs, 32)), d = f32x4.mul(h, v128.load(vs, 48));
  if (edge) {
    let unseen = f32x4.lt(x, least);
    e = v128.andnot(e, unseen); a = v128.andnot(a, unseen);
    unseen = f32x4.lt(y, least);
    f = v128.andnot(f, unseen); b = v128.andnot(b, unseen);
    unseen = f32x4.lt(z, least);
    g = v128.andnot(g, unseen); c = v128.andnot(c, unseen);
    unseen = f32x4.lt(w, least);
    h = v128.andnot(h, unseen); d = v128.andnot(d, unseen);
  }
  const largest = maxLanes(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)));
  const shared = SHARE * sumLanes(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
  const most = largest > shared ? largest : shared;
  const inverse = f32x4.splat(most > 0 ? 32767 / most : 0);
  v128.store(s, i16x8.narrow_i32x4_s(units(a, inverse, round), units(b, inverse, round)));
  v128.store(s, i16x8.narrow_i32x4_s(units(c, inverse, round), units(d, inverse, round)), 16);
  store<f32>(s, most / 32767, 32);
  return f32x4.add(f32x4.add(e, f), f32x4.add(g, h));
}

/**
 * Scores of slots begin .. end - 1, in powers of two, become probabilities times the value scales, block by block: each 64
 * bytes of 16 scores turn into what weighBlock says. first and last are multiples of 16. Returns 1 / sum.
 */
function weigh(scores: usize, first: i32, last: i32, begin: i32, end: i32, cap: f32, valueScales: usize): f32 {
  const bytes = <usize>(last - first) << 2;
  if (cap > 0) {
    const c = f32x4.splat(cap), inverse = f32x4.splat(1 / cap);
    for (let i = <usize>((begin & ~3) - first) << 2, stop = <usize>(end - first) << 2; i < stop; i += 16) {
      v128.store(scores + i, f32x4.mul(c, tanh4(f32x4.mul(v128.load(scores + i), inverse))));
    }
  }
  for (let s = first; s < begin; s++) store<f32>(scores + (<usize>(s - first) << 2), -Infinity);
  for (let s = end; s < last; s++) store<f32>(scores + (<usize>(s - first) << 2), -Infinity);
  let m = v128.load(scores);
  for (let i: usize = 16; i < bytes; i += 16) m = f32x4.pmax(m, v128.load(scores + i));
  const top = f32x4.splat(maxLanes(m));
  const vs = valueScales + (<usize>first << 2);
  let sum = weighBlock(true, scores, top, vs);
  let i: usize = 64;
  for (; i + 64 < bytes; i += 64) sum = f32x4.add(sum, weighBlock(false, scores + i, top, vs + i));
  if (i < bytes) sum = f32x4.add(sum, weighBlock(true, scores + i, top, vs + i));
  return 1 / sumLanes(sum);
}

/** Adds a block's sums of four columns, in units of its probabilities, to what the blocks before it gave. */
@inline
function fold(sums: v128, unit: v128, to: usize): void {
  v128.store(to, madd(f32x4.convert_i32x4_s(sums), unit, v128.load(to)));
}

@inline
function scaled(out: usize, width: i32, r: f32): void {
  const s = f32x4.splat(r);
  for (let end = out + (<usize>width << 2); out < end; out += 16) v128.store(out, f32x4.mul(v128.load(out), s));
}

/** out[query][0 .. width - 1] = sum over slots of probability * value, times 1 / sum. */
@inline
function collect(
  n: i32, width: i32, values: usize, first: i32, last: i32, scores: usize, stride: usize,
  r0: f32, r1: f32, r2: f32, out: usize, outStride: usize,
): void {
  const row = <usize>width << 2;
  memory.fill(out, 0, row);
  if (n > 1) memory.fill(out + outStride, 0, row);
  if (n > 2) memory.fill(out + 2 * outStride, 0, row);
  let v = values + (<usize>first << 1) * <usize>width;
  for (const end = values + (<usize>last << 1) * <usize>width; v < end; scores += 64) {
    const f0 = v128.load32_splat(scores, 32);
    const f1 = n > 1 ? v128.load32_splat(scores + stride, 32) : f0;
    const f2 = n > 2 ? v128.load32_splat(scores + 2 * stride, 32) : f0;
    for (let o = out, columns = out + row; o < columns; o += 32) {
      let A0 = i32x4.splat(0), B0 = A0, A1 = A0, B1 = A0, A2 = A0, B2 = A0;
      for (let p = scores, stop = scores + 32; p < stop; p += 8) {
        let a = v128.load(v), b = v128.load(v, 16);
        let x = v128.load32_splat(p);
        A0 = dot16(x, a, A0); B0 = dot16(x, b, B0);
        if (n > 1) {
          x = v128.load32_splat(p + stride);
          A1 = dot16(x, a, A1); B1 = dot16(x, b, B1);
        }
        if (n > 2) {
          x = v128.load32_splat(p + 2 * stride);
          A2 = dot16(x, a, A2); B2 = dot16(x, b, B2);
        }
        a = v128.load(v, 32); b = v128.load(v, 48);
        x = v128.load32_splat(p, 4);
        A0 = dot16(x, a, A0); B0 = dot16(x, b, B0);
        if (n > 1) {
          x = v128.load32_splat(p + stride, 4);
          A1 = dot16(x, a, A1); B1 = dot16(x, b, B1);
        }
        if (n > 2) {
          x = v128.load32_splat(p + 2 * stride, 4);
          A2 = dot16(x, a, A2); B2 = dot16(x, b, B2);
        }
        v += 64;
      }
      fold(A0, f0, o); fold(B0, f0, o + 16);
      if (n > 1) { fold(A1, f1, o + outStride); fold(B1, f1, o + outStride + 16); }
      if (n > 2) { fold(A2, f2, o + 2 * outStride); fold(B2, f2, o + 2 * outStride + 16); }
    }
  }
  scaled(out, width, r0);
  if (n > 1) scaled(out + outStride, width, r1);
  if (n > 2) scaled(out + 2 * outStride, width, r2);
}

/**
 * out[query] = softmax(scale * q . K) V over slots begin .. end - 1 for `queries` (1..3) query heads of one key-value
 * head, `cap` > 0 bounding the scores by cap * tanh(s / cap). q and out rows are `stride` bytes apart (width floats,
 * padded to 16). `scratch` has room for 3 * (2 * width + 4 * scoreSlots) bytes, scoreSlots >= end - begin + 30. Slots up to
 * the next multiple of 16 behind `end` must exist; what they hold does not matter.
 */
export function attend(
  q: usize, queries: i32, stride: usize, width: i32, keys: usize, keyScales: usize, values: usize, valueScales: usize,
  begin: i32, end: i32, scale: f32, cap: f32, limit: f32, scratch: usize, scoreSlots: i32, out: usize,
): void {
  const first = begin & ~15, last = (end + 15) & ~15;
  const from = begin & ~3, to = (end + 3) & ~3;
  const row = <usize>width << 1;
  // In powers of two, tanh's bound included: cap * tanh(s / cap) times log2 e is that of both times log2 e.
  scale *= LOG2_E;
  cap *= LOG2_E;
  const s0 = quantizeRow(q, width, limit, scratch) * scale;
  const s1 = queries > 1 ? quantizeRow(q + stride, width, limit, scratch + row) * scale : 0;
  const s2 = queries > 2 ? quantizeRow(q + 2 * stride, width, limit, scratch + 2 * row) * scale : 0;
  const scores = scratch + 3 * row;
  const scoreStride = <usize>scoreSlots << 2;
  const at = scores + (<usize>(from - first) << 2);
  if (queries == 3) score(3, scratch, width, keys, keyScales, from, to, at, scoreStride, s0, s1, s2);
  else if (queries == 2) score(2, scratch, width, keys, keyScales, from, to, at, scoreStride, s0, s1, s2);
  else score(1, scratch, width, keys, keyScales, from, to, at, scoreStride, s0, s1, s2);
  const r0 = weigh(scores, first, last, begin, end, cap, valueScales);
  const r1 = queries > 1 ? weigh(scores + scoreStride, first, last, begin, end, cap, valueScales) : 0;
  const r2 = queries > 2 ? weigh(scores + 2 * scoreStride, first, last, begin, end, cap, valueScales) : 0;
  if (queries == 3) collect(3, width, values, first, last, scores, scoreStride, r0, r1, r2, out, stride);
  else if (queries == 2) collect(2, width, values, first, last, scores, scoreStride, r0, r1, r2, out, stride);
  else collect(1, width, values, first, last, scores, scoreStride, r0, r1, r2, out, stride);
}
