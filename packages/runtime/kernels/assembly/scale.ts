// Weight scales in 16 bits: 6 bits of exponent, 10 of fraction, no sign; code c stands for the f32 with bits
// (c << 13) + (80 << 23), so 2^-47 .. 2^16. Every positive f16, subnormal ones included, has an exact code, and decoding
// takes a shift and an addition (WebAssembly SIMD has no f16 conversion). A zero scale is coded as 0 (2^-47) and its
// weights as zeros.

/** Four scales as f32x4; `offset` is constant(SCALE_OFFSET). */
@inline
export function scales(p: usize, offset: v128): v128 {
  return i32x4.add(i32x4.shl(v128.load16x4_u(p), 13), offset);
}
