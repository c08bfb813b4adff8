// AssemblyScript, not TypeScript. Checkpoint elements to f32 and back to f16, eight at a time; counts are elements, and
// buffers have room for a multiple of eight.
import { report } from './errors';

/** BF16 is the upper half of f32. */
export function widenBf16(from: usize, to: usize, count: i32): void {
  for (let i = 0; i < count; i += 8, from += 16, to += 32) {
    const halves = v128.load(from);
    v128.store(to, i32x4.shl(i32x4.extend_low_i16x8_u(halves), 16));
    v128.store(to, i32x4.shl(i32x4.extend_high_i16x8_u(halves), 16), 16);
  }
}

/**
 * Four binary16 in the low halves of lanes to f32, exactly. Exponent and fraction, moved into place, are too small by
 * 2^112, subnormals included; infinity and NaN get their exponent back.
 */
function widen4(h: v128): v128 {
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const scaled = f32x4.mul(magnitude, i32x4.splat(0x77800000));
  const special = v128.and(i32x4.ge_s(magnitude, i32x4.splat(0x0f800000)), i32x4.splat(0x7f800000));
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16);
  return v128.or(v128.or(scaled, special), sign);
}

export function widenF16(from: usize, to: usize, count: i32): void {
  for (let i = 0; i < count; i += 8, from += 16, to += 32) {
    const halves = v128.load(from);
    v128.store(to, widen4(i32x4.extend_low_i16x8_u(halves)));
    v128.store(to, widen4(i32x4.extend_high_i16x8_u(halves)), 16);
  }
}

/** f32 to binary16, to nearest, ties to even; beyond the range infinity. The bits are in the low halves of lanes. */
function narrow4(w: v128): v128 {
  const sign = v128.and(w, i32x4.splat(0x80000000));
  const f = v128.xor(w, sign);
  // Below 2^-14: adding a number whose last fraction bit is worth 2^-24 lets the addition itself round.
  const magic = i32x4.splat(0x3f000000);
  const small = i32x4.sub(f32x4.add(f, magic), magic);
  const odd = v128.and(i32x4.shr_u(f, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(f, i32x4.splat(0xc8000fff)), odd), 13);
  const finite = v128.bitselect(small, normal, i32x4.lt_s(f, i32x4.splat(0x38800000)));
  const nan = v128.and(i32x4.gt_s(f, i32x4.splat(0x7f800000)), i32x4.splat(0x200));
  const special = v128.or(i32x4.splat(0x7c00), nan);
  const bits = v128.bitselect(special, finite, i32x4.ge_s(f, i32x4.splat(0x47800000)));
  return v128.or(bits, i32x4.shr_u(sign, 16));
}

/** f32 to f16, with the squared error of what is stored; beyond the range it is infinite. */
export function narrowF16(from: usize, to: usize, count: i32): void {
  let errors = f64x2.splat(0);
  let sums = f64x2.splat(0);
  for (let i = 0; i < count; i += 4, from += 16, to += 8) {
    const w = v128.load(from);
    const h = narrow4(w);
    v128.store64_lane(to, i16x8.narrow_i32x4_u(h, h), 0);
    errors = addSquares(errors, f32x4.sub(w, widen4(h)));
    sums = addSquares(sums, w);
  }
  report(sumPair(errors), sumPair(sums));
}

/** Squared sum of f32 that are stored as they are. */
export function measure(from: usize, count: i32): void {
  let sums = f64x2.splat(0);
  for (let i = 0; i < count; i += 4, from += 16) sums = addSquares(sums, v128.load(from));
  report(0, sumPair(sums));
}

function addSquares(sums: v128, w: v128): v128 {
  const squares = f32x4.mul(w, w);
  const low = f64x2.promote_low_f32x4(squares);
  const high = f64x2.promote_low_f32x4(
    i8x16.shuffle(squares, squares, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15),
  );
  return f64x2.add(sums, f64x2.add(low, high));
}

function sumPair(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}
