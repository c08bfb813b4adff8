// The 4-bit product by four-way dot products (relaxed SIMD). Packing and limits: int4-parts.ts.
import { constant, LOW_BYTES, SCALE_OFFSET } from './constants';
import { fold, high, low } from './int4-parts';
import { put, putTokens } from './put';
import { scales } from './scale';

@inline
function dot(a: v128, w: v128, sum: v128): v128 {
  return v128.relaxed_dot_add<i32>(a, w, sum);
}

/** One panel with its nibbles as bytes and its scales as f32: 288 bytes a block (4 x 64 of weights, 2 x 16 of scales). */
@inline
function unpack(w: usize, blocks: i32, to: usize): void {
  const mask = constant(LOW_BYTES), offset = constant(SCALE_OFFSET);
  for (let b = 0; b < blocks; b++) {
    for (let g = 0; g < 4; g++) {
      const wa = v128.load(w), wb = v128.load(w, 16);
      v128.store(to, low(wa, mask)); v128.store(to, low(wb, mask), 16);
      v128.store(to, high(wa, mask), 32); v128.store(to, high(wb, mask), 48);
      w += 32; to += 64;
    }
    v128.store(to, scales(w, offset)); v128.store(to, scales(w + 8, offset), 16);
    w += 16; to += 32;
  }
}

/** One unpacked panel times n rows, 2 to 4, n constant where this is inlined. */
@inline
function several(
  n: i32, w: usize, blocks: i32, act: usize, actStride: usize, meta: usize, metaStride: usize,
  out: usize, outStride: usize, bias: usize, bias4: usize, add: i32,
): void {
  let x0 = act, x1 = x0 + actStride, x2 = x1 + actStride, x3 = x2 + actStride;
  let m0 = meta, m1 = m0 + metaStride, m2 = m1 + metaStride, m3 = m2 + metaStride;
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let v = w;
  for (let b = 0; b < blocks; b++) {
    let A0 = v128.load32_splat(m0, 4), A1 = v128.load32_splat(m1, 4), A2 = n > 2 ? v128.load32_splat(m2, 4) : A0, A3 = n > 3 ? v128.load32_splat(m3, 4) : A0;
    let B0 = A0, B1 = A1, B2 = A2, B3 = A3;
    for (const end = x0 + 32; x0 < end; ) {
      let wa = v128.load(v), wb = v128.load(v, 16);
      let s = v128.load32_splat(x0);
      A0 = dot(s, wa, A0); B0 = dot(s, wb, B0);
      s = v128.load32_splat(x1);
      A1 = dot(s, wa, A1); B1 = dot(s, wb, B1);
      if (n > 2) {
        s = v128.load32_splat(x2);
        A2 = dot(s, wa, A2); B2 = dot(s, wb, B2);
      }
      if (n > 3) {
        s = v128.load32_splat(x3);
        A3 = dot(s, wa, A3); B3 = dot(s, wb, B3);
      }
      wa = v128.load(v, 32); wb = v128.load(v, 48);
      s = v128.load32_splat(x0, 4);
      A0 = dot(s, wa, A0); B0 = dot(s, wb, B0);
      s = v128.load32_splat(x1, 4);
      A1 = dot(s, wa, A1); B1 = dot(s, wb, B1);
      if (n > 2) {
        s = v128.load32_splat(x2, 4);
        A2 = dot(s, wa, A2); B2 = dot(s, wb, B2);
      }
      if (n > 3) {
        s = v128.load32_splat(x3, 4);
        A3 = dot(s, wa, A3); B3 = dot(s, wb, B3);
      }
      v += 64; x0 += 8; x1 += 8; x2 += 8; x3 += 8;
    }
    const sa = v128.load(v), sb = v128.load(v, 16);
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
    v += 32; m0 += 8; m1 += 8; m2 += 8; m3 += 8;
  }
  putTokens(n, out, outStride, bias, bias4, add, a0, b0, a1, b1, a2, b2, a3, b3);
}

/**
 * As int4Pairs, with 32-bit sums. Where tokens share a panel it is unpacked once, into `scratch` (288 bytes a block): for 64
 * tokens that is 1.15 times as fast as unpacking for every four.
 */
export function int4Dot(
  w: usize, panels: i32, blocks: i32, act: usize, actStride: usize, meta: usize, metaStride: usize,
  out: usize, outStride: usize, bias: usize, add: i32, tokens: i32, scratch: usize,
): void {
  const panelBytes = <usize>blocks * 144;
  const mask = constant(LOW_BYTES), offset = constant(SCALE_OFFSET);
  for (let p = 0; p < panels; p++) {
    const bias4 = bias ? bias + 16 : 0;
    let t = 0;
    if (tokens > 1) unpack(w, blocks, scratch);
    while (tokens - t > 1) {
      const n = min(4, tokens - t);
      const x = act + <usize>t * actStride, m = meta + <usize>t * metaStride, o = out + <usize>t * outStride;
      if (n == 4) several(4, scratch, blocks, x, actStride, m, metaStride, o, outStride, bias, bias4, add);
      else if (n == 3) several(3, scratch, blocks, x, actStride, m, metaStride, o, outStride, bias, bias4, add);
      else several(2, scratch, blocks, x, actStride, m, metaStride, o, outStride, bias, bias4, add);
      t += n;
    }
    if (t < tokens) {
      let x = act + <usize>t * actStride, m = meta + <usize>t * metaStride;
      let a = f32x4.splat(0), b = a;
      let v = w;
      for (let k = 0; k < blocks; k++) {
        let A = v128.load32_splat(m, 4), B = A;
        let wa = v128.load(v), wb = v128.load(v, 16);
        let s = v128.load32_splat(x);
        A = dot(s, low(wa, mask), A); B = dot(s, low(wb, mask), B);
        s = v128.load32_splat(x, 4);
        A = dot(s, high(wa, mask), A); B = dot(s, high(wb, mask), B);
        wa = v128.load(v, 32); wb = v128.load(v, 48);
        s = v128.load32_splat(x, 8);
        A = dot(s, low(wa, mask), A); B = dot(s, low(wb, mask), B);
        s = v128.load32_splat(x, 12);
        A = dot(s, high(wa, mask), A); B = dot(s, high(wb, mask), B);
        wa = v128.load(v, 64); wb = v128.load(v, 80);
        s = v128.load32_splat(x, 16);
        A = dot(s, low(wa, mask), A); B = dot(s, low(wb, mask), B);
        s = v128.load32_splat(x, 20);
        A = dot(s, high(wa, mask), A); B = dot(s, high(wb, mask), B);
        wa = v128.load(v, 96); wb = v128.load(v, 112);
        s = v128.load32_splat(x, 24);
        A = dot(s, low(wa, mask), A); B = dot(s, low(wb, mask), B);
        s = v128.load32_splat(x, 28);
        A = dot(s, high(wa, mask), A); B = dot(s, high(wb, mask), B);
        const f = v128.load32_splat(m);
        a = fold(A, f32x4.mul(scales(v + 128, offset), f), a);
        b = fold(B, f32x4.mul(scales(v + 136, offset), f), b);
        v += 144; x += 32; m += 8;
      }
      const o = out + <usize>t * outStride;
      put(o, a, bias, add); put(o + 16, b, bias4, add);
    }
    w += panelBytes; out += 32;
    if (bias) bias += 32;
  }
}
