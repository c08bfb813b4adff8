// The 4-bit product without relaxed SIMD. Packing and limits: int4-parts.ts.
import { constant, LOW_SHORTS, SCALE_OFFSET } from './constants';
import { dot16, fold } from './int4-parts';
import { put } from './put';
import { scales } from './scale';

@inline
function nibble0(w: v128, mask: v128): v128 {
  return v128.and(w, mask);
}

@inline
function nibble1(w: v128, mask: v128): v128 {
  return v128.and(i16x8.shr_u(w, 4), mask);
}

@inline
function nibble2(w: v128, mask: v128): v128 {
  return v128.and(i16x8.shr_u(w, 8), mask);
}

/**
 * As int4Pairs without relaxed SIMD: `act` is int16, each 8 inputs in the order 0,2, 4,6, 1,3, 5,7, so that the four
 * nibbles of every 16-bit lane meet their inputs without moving bytes.
 */
export function int4Plain(
  w: usize, panels: i32, blocks: i32, act: usize, actStride: usize, meta: usize, metaStride: usize,
  out: usize, outStride: usize, bias: usize, add: i32, tokens: i32,
): void {
  const panelBytes = <usize>blocks * 144;
  const mask = constant(LOW_SHORTS), offset = constant(SCALE_OFFSET);
  for (let p = 0; p < panels; p++) {
    let t = 0;
    for (; t + 2 <= tokens; t += 2) {
      let x0 = act + <usize>t * actStride, x1 = x0 + actStride;
      let m0 = meta + <usize>t * metaStride, m1 = m0 + metaStride;
      let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0;
      let v = w;
      for (let b = 0; b < blocks; b++) {
        let A0 = v128.load32_splat(m0, 4), A1 = v128.load32_splat(m1, 4), B0 = A0, B1 = A1;
        for (let g = 0; g < 4; g++) {
          const wa = v128.load(v), wb = v128.load(v, 16);
          let s0 = v128.load32_splat(x0), s1 = v128.load32_splat(x1);
          let na = nibble0(wa, mask), nb = nibble0(wb, mask);
          A0 = dot16(s0, na, A0); B0 = dot16(s0, nb, B0); A1 = dot16(s1, na, A1); B1 = dot16(s1, nb, B1);
          s0 = v128.load32_splat(x0, 4); s1 = v128.load32_splat(x1, 4);
          na = nibble1(wa, mask); nb = nibble1(wb, mask);
          A0 = dot16(s0, na, A0); B0 = dot16(s0, nb, B0); A1 = dot16(s1, na, A1); B1 = dot16(s1, nb, B1);
          s0 = v128.load32_splat(x0, 8); s1 = v128.load32_splat(x1, 8);
          na = nibble2(wa, mask); nb = nibble2(wb, mask);
          A0 = dot16(s0, na, A0); B0 = dot16(s0, nb, B0); A1 = dot16(s1, na, A1); B1 = dot16(s1, nb, B1);
          s0 = v128.load32_splat(x0, 12); s1 = v128.load32_splat(x1, 12);
          na = i16x8.shr_u(wa, 12); nb = i16x8.shr_u(wb, 12);
          A0 = dot16(s0, na, A0); B0 = dot16(s0, nb, B0); A1 = dot16(s1, na, A1); B1 = dot16(s1, nb, B1);
          v += 32; x0 += 16; x1 += 16;
        }
        const sa = scales(v, offset), sb = scales(v + 8, offset);
        let f = v128.load32_splat(m0);
        a0 = fold(A0, f32x4.mul(sa, f), a0); b0 = fold(B0, f32x4.mul(sb, f), b0);
        f = v128.load32_splat(m1);
        a1 = fold(A1, f32x4.mul(sa, f), a1); b1 = fold(B1, f32x4.mul(sb, f), b1);
        v += 16; m0 += 8; m1 += 8;
      }
      const o = out + <usize>t * outStride;
      const bias4 = bias ? bias + 16 : 0;
      put(o, a0, bias, add); put(o + 16, b0, bias4, add);
      put(o + outStride, a1, bias, add); put(o + outStride + 16, b1, bias4, add);
    }
    if (t < tokens) {
      let x = act + <usize>t * actStride, m = meta + <usize>t * metaStride;
      let a = f32x4.splat(0), b = a;
      let v = w;
      for (let k = 0; k < blocks; k++) {
        let A = v128.load32_splat(m, 4), B = A;
        for (let g = 0; g < 4; g++) {
          const wa = v128.load(v), wb = v128.load(v, 16);
          let s = v128.load32_splat(x);
          A = dot16(s, nibble0(wa, mask), A); B = dot16(s, nibble0(wb, mask), B);
          s = v128.load32_splat(x, 4);
          A = dot16(s, nibble1(wa, mask), A); B = dot16(s, nibble1(wb, mask), B);
          s = v128.load32_splat(x, 8);
          A = dot16(s, nibble2(wa, mask), A); B = dot16(s, nibble2(wb, mask), B);
          s = v128.load32_splat(x, 12);
          A = dot16(s, i16x8.shr_u(wa, 12), A); B = dot16(s, i16x8.shr_u(wb, 12), B);
          v += 32; x += 16;
        }
        const f = v128.load32_splat(m);
        a = fold(A, f32x4.mul(scales(v, offset), f), a);
        b = fold(B, f32x4.mul(scales(v + 8, offset), f), b);
        v += 16; m += 8;
      }
      const o = out + <usize>t * outStride;
      put(o, a, bias, add); put(o + 16, b, bias ? bias + 16 : 0, add);
    }
    w += panelBytes; out += 32;
    if (bias) bias += 32;
  }
}
