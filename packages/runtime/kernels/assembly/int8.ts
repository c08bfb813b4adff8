// Products of 8-bit weights with 16-bit activations. An 8-bit operand does not fit the 7-bit side of the relaxed dot
// product, and this pass is bound by memory anyway (1 byte per weight), so it widens to 16 bits and multiplies exactly:
// |127 * 32767| * 32 inputs < 2^31.
//
// Packing: panels of 8 rows, blocks of 32 inputs, 272 bytes: sixteen steps of 2 inputs (8 bytes for rows 0-3, 8 for
// rows 4-7, byte 2 * row + j), then 8 scale codes (scale.ts). `act` is int16 in natural order, `meta` as in int4-parts.ts.
import { constant, SCALE_OFFSET } from './constants';
import { dot16, fold } from './int4-parts';
import { put, putTokens } from './put';
import { scales } from './scale';

/** One panel times n rows, 2 to 4, n constant where this is inlined. */
@inline
function several(
  n: i32, w: usize, blocks: i32, act: usize, actStride: usize, meta: usize, metaStride: usize,
  out: usize, outStride: usize, bias: usize, bias4: usize, add: i32,
): void {
  const offset = constant(SCALE_OFFSET);
  let x0 = act, x1 = x0 + actStride, x2 = x1 + actStride, x3 = x2 + actStride;
  let m0 = meta, m1 = m0 + metaStride, m2 = m1 + metaStride, m3 = m2 + metaStride;
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let v = w;
  for (let b = 0; b < blocks; b++) {
    let A0 = i32x4.splat(0), A1 = A0, A2 = A0, A3 = A0, B0 = A0, B1 = A0, B2 = A0, B3 = A0;
    for (let g = 0; g < 8; g++) {
      let wa = v128.load8x8_s(v), wb = v128.load8x8_s(v, 8);
      let s = v128.load32_splat(x0);
      A0 = dot16(s, wa, A0); B0 = dot16(s, wb, B0);
      s = v128.load32_splat(x1);
      A1 = dot16(s, wa, A1); B1 = dot16(s, wb, B1);
      if (n > 2) {
        s = v128.load32_splat(x2);
        A2 = dot16(s, wa, A2); B2 = dot16(s, wb, B2);
      }
      if (n > 3) {
        s = v128.load32_splat(x3);
        A3 = dot16(s, wa, A3); B3 = dot16(s, wb, B3);
      }
      wa = v128.load8x8_s(v, 16); wb = v128.load8x8_s(v, 24);
      s = v128.load32_splat(x0, 4);
      A0 = dot16(s, wa, A0); B0 = dot16(s, wb, B0);
      s = v128.load32_splat(x1, 4);
      A1 = dot16(s, wa, A1); B1 = dot16(s, wb, B1);
      if (n > 2) {
        s = v128.load32_splat(x2, 4);
        A2 = dot16(s, wa, A2); B2 = dot16(s, wb, B2);
      }
      if (n > 3) {
        s = v128.load32_splat(x3, 4);
        A3 = dot16(s, wa, A3); B3 = dot16(s, wb, B3);
      }
      v += 32; x0 += 8; x1 += 8; x2 += 8; x3 += 8;
    }
    const sa = scales(v, offset), sb = scales(v + 8, offset);
    let f = v128.load32_splat(m0);
    a0 = fold(A0, f32x4.mul(sa, f), a0); b0 = fold(B0, f32x4.mul(sb, f), b0);
    f = v128.load32_splat(m1);
    a1 = fold(A1, f32x4.mul(sa, f), a1); b1 = fold(B1, f32x4.mul(sb, f), b1);
    if (n > 2) {
      f = v128.load32_splat(m2);
      a2 = fold(A2, f32x4.mul(sa, f), a2); b2 = fold(B2, f32x4.mul(sb, f), b2);
    }
    if (n > 3) {
      f = v128.load32_splat(m3);
      a3 = fold(A3, f32x4.mul(sa, f), a3); b3 = fold(B3, f32x4.mul(sb, f), b3);
    }
    v += 16; m0 += 8; m1 += 8; m2 += 8; m3 += 8;
  }
  putTokens(n, out, outStride, bias, bias4, add, a0, b0, a1, b1, a2, b2, a3, b3);
}

/** out[t][8 * panel + r] (+)= W . x[t] (+ bias); strides are bytes between tokens. */
export function int8Product(
  w: usize, panels: i32, blocks: i32, act: usize, actStride: usize, meta: usize, metaStride: usize,
  out: usize, outStride: usize, bias: usize, add: i32, tokens: i32,
): void {
  const panelBytes = <usize>blocks * 272;
  const offset = constant(SCALE_OFFSET);
  for (let p = 0; p < panels; p++) {
    const bias4 = bias ? bias + 16 : 0;
    let t = 0;
    while (tokens - t > 1) {
      const n = min(4, tokens - t);
      const x = act + <usize>t * actStride, m = meta + <usize>t * metaStride, o = out + <usize>t * outStride;
      if (n == 4) several(4, w, blocks, x, actStride, m, metaStride, o, outStride, bias, bias4, add);
      else if (n == 3) several(3, w, blocks, x, actStride, m, metaStride, o, outStride, bias, bias4, add);
      else several(2, w, blocks, x, actStride, m, metaStride, o, outStride, bias, bias4, add);
      t += n;
    }
    if (t < tokens) {
      let x = act + <usize>t * actStride, m = meta + <usize>t * metaStride;
      let a = f32x4.splat(0), b = a;
      let v = w;
      for (let k = 0; k < blocks; k++) {
        let A = i32x4.splat(0), B = A;
        for (let g = 0; g < 4; g++) {
          let s = v128.load32_splat(x);
          A = dot16(s, v128.load8x8_s(v), A); B = dot16(s, v128.load8x8_s(v, 8), B);
          s = v128.load32_splat(x, 4);
          A = dot16(s, v128.load8x8_s(v, 16), A); B = dot16(s, v128.load8x8_s(v, 24), B);
          s = v128.load32_splat(x, 8);
          A = dot16(s, v128.load8x8_s(v, 32), A); B = dot16(s, v128.load8x8_s(v, 40), B);
          s = v128.load32_splat(x, 12);
          A = dot16(s, v128.load8x8_s(v, 48), A); B = dot16(s, v128.load8x8_s(v, 56), B);
          v += 64; x += 16;
        }
        const f = v128.load32_splat(m);
        a = fold(A, f32x4.mul(scales(v, offset), f), a);
        b = fold(B, f32x4.mul(scales(v + 8, offset), f), b);
        v += 16; m += 8;
      }
      const o = out + <usize>t * outStride;
      put(o, a, bias, add); put(o + 16, b, bias4, add);
    }
    w += panelBytes; out += 32;
    if (bias) bias += 32;
  }
}
