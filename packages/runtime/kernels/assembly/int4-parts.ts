// Products of 4-bit weights with quantised activations, for one token (decode) and four at a time (prefill).
//
// Packing: 8 rows form a panel; a panel is cut along the inputs into blocks of 32. One block is 144 bytes: four steps of
// 8 inputs, each 16 bytes for rows 0-3 and 16 bytes for rows 4-7; byte 4 * row + j of a step holds input j in its low
// and input j + 4 in its high nibble (weight + 8, so 0..15); then 8 scale codes of 16 bits (see scale.ts).
// Lanes of an accumulator are rows, so no horizontal sums are needed and four scales are applied by one multiply.
//
// Activations come quantised per block (quantize.ts): `meta` holds {f32 scale, i32 -8 * sum} per block; the second
// undoes the + 8 of the nibbles. All three kernels add the same integers and so give the same bits:
//   int4Pairs  16-bit partial sums: |8 products of 15 * 127, in pairs| <= 30480 fits i16. Fastest where the dot
//              product is an x86 multiply-add pair.
//   int4Dot    32-bit sums through the four-way dot product: fastest where that is one instruction (ARM, AVX-VNNI).
//   int4Plain  no relaxed SIMD; activations are 16-bit and may hold up to 15 bits.
// A nibble never sets the top bit of the 7-bit operand and no sum saturates, so the cases that relaxed SIMD leaves to
// the implementation do not occur.
/** Inputs 0-3 of a step; `mask` is constant(LOW_BYTES). */
@inline
export function low(w: v128, mask: v128): v128 {
  return v128.and(w, mask);
}

/** Inputs 4-7 of a step. */
@inline
export function high(w: v128, mask: v128): v128 {
  return v128.and(i16x8.shr_u(w, 4), mask);
}

/** Adds a finished block to the row sums: integers of four rows, their scales times the block's activation scale. */
@inline
export function fold(sum: v128, scale: v128, acc: v128): v128 {
  return f32x4.add(acc, f32x4.mul(f32x4.convert_i32x4_s(sum), scale));
}

@inline
export function dot16(a: v128, w: v128, sum: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, w));
}
