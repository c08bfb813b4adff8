// The 4-bit product by 16-bit multiply-add pairs (relaxed SIMD). Packing and limits: int4-parts.ts.
import { constant, LOW_BYTES, ONES_16, SCALE_OFFSET } from './constants';
import { fold, high, low } from './int4-parts';
import { put, putTokens } from './put';
import { scales } from './scale';

@inline
function pairs(a: v128, w: v128): v128 {
  return v128.relaxed_dot<i16>(a, w);
}

@inline
function widen(sum: v128, ones: v128, correction: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(sum, ones), correction);
}

/** One panel times n rows, 2 to 4, n constant where this is inlined. */
@inline
function several(
  n: i32, w: usize, blocks: i32, act: usize, actStride: usize, meta: usize, metaStride: usize,
  out: usize, outStride: usize, bias: usize, bias4: usize, add: i32,
): void {
  const mask = constant(LOW_BYTES), ones = constant(ONES_16), offset = constant(SCALE_OFFSET);
  let x0 = act, x1 = x0 + actStride, x2 = x1 + actStride, x3 = x2 + actStride;
  let m0 = meta, m1 = m0 + metaStride, m2 = m1 + metaStride, m3 = m2 + metaStride;
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  let v = w;
  for (let b = 0; b < blocks; b++) {
    let A0 = i16x8.splat(0), A1 = A0, A2 = A0, A3 = A0, B0 = A0, B1 = A0, B2 = A0, B3 = A0;
    for (let g = 0; g < 4; g++) {
      let wa = v128.load(v), wb = v128.load(v, 16);
      const al = low(wa, mask), ah = high(wa, mask), bl = low(wb, mask), bh = high(wb, mask);
      let s = v128.load32_splat(x0);
      A0 = i16x8.add(A0, pairs(s, al)); B0 = i16x8.add(B0, pairs(s, bl));
      s = v128.load32_splat(x0, 4);
      A0 = i16x8.add(A0, pairs(s, ah)); B0 = i16x8.add(B0, pairs(s, bh));
      s = v128.load32_splat(x1);
      A1 = i16x8.add(A1, pairs(s, al)); B1 = i16x8.add(B1, pairs(s, bl));
      s = v128.load32_splat(x1, 4);
      A1 = i16x8.add(A1, pairs(s, ah)); B1 = i16x8.add(B1, pairs(s, bh));
      if (n > 2) {
        s = v128.load32_splat(x2);
        A2 = i16x8.add(A2, pairs(s, al)); B2 = i16x8.add(B2, pairs(s, bl));
        s = v128.load32_splat(x2, 4);
        A2 = i16x8.add(A2, pairs(s, ah)); B2 = i16x8.add(B2, pairs(s, bh));
      }
      if (n > 3) {
        s = v128.load32_splat(x3);
        A3 = i16x8.add(A3, pairs(s, al)); B3 = i16x8.add(B3, pairs(s, bl));
        s = v128.load32_splat(x3, 4);
        A3 = i16x8.add(A3, pairs(s, ah)); B3 = i16x8.add(B3, pairs(s, bh));
      }
      v += 32; x0 += 8; x1 += 8; x2 += 8; x3 += 8;
    }
    const sa = scales(v, offset), sb = scales(v + 8, offset);
    let f = v128.load32_splat(m0), c = v128.load32_splat(m0, 4);
    a0 = fold(widen(A0, ones, c), f32x4.mul(sa, f), a0); b0 = fold(widen(B0, ones, c), f32x4.mul(sb, f), b0);
    f = v128.load32_splat(m1); c = v128.load32_splat(m1, 4);
    a1 = fold(widen(A1, ones, c), f32x4.mul(sa, f), a1); b1 = fold(widen(B1, ones, c), f32x4.mul(sb, f), b1);
    if (n > 2) {
      f = v128.load32_splat(m2); c = v128.load32_splat(m2, 4);
      a2 = fold(widen(A2, ones, c), f32x4.mul(sa, f), a2); b2 = fold(widen(B2, ones, c), f32x4.mul(sb, f), b2);
    }
    if (n > 3) {
      f = v128.load32_splat(m3); c = v128.load32_splat(m3, 4);
      a3 = fold(widen(A3, ones, c), f32x4.mul(sa, f), a3); b3 = fold(widen(B3, ones, c), f32x4.mul(sb, f), b3);
    }
    v += 16; m0 += 8; m1 += 8; m2 += 8; m3 += 8;
  }
  putTokens(n, out, outStride, bias, bias4, add, a0, b0, a1, b1, a2, b2, a3, b3);
}

/**
 * out[t][8 * panel + r] (+)= W . x[t] (+ bias) for `panels` panels starting at `w`.
 * Strides are bytes between tokens. `act` is int8, natural order.
 */
export function int4Pairs(
  w: usize, panels: i32, blocks: i32, act: usize, actStride: usize, meta: usize, metaStride: usize,
  out: usize, outStride: usize, bias: usize, add: i32, tokens: i32,
): void {
  const panelBytes = <usize>blocks * 144;
  const mask = constant(LOW_BYTES), ones = constant(ONES_16), offset = constant(SCALE_OFFSET);
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
        let wa = v128.load(v), wb = v128.load(v, 16);
        let s = v128.load32_splat(x);
        let A = pairs(s, low(wa, mask)), B = pairs(s, low(wb, mask));
        s = v128.load32_splat(x, 4);
        A = i16x8.add(A, pairs(s, high(wa, mask))); B = i16x8.add(B, pairs(s, high(wb, mask)));
        wa = v128.load(v, 32); wb = v128.load(v, 48);
        s = v128.load32_splat(x, 8);
        A = i16x8.add(A, pairs(s, low(wa, mask))); B = i16x8.add(B, pairs(s, low(wb, mask)));
        s = v128.load32_splat(x, 12);
        A = i16x8.add(A, pairs(s, high(wa, mask))); B = i16x8.add(B, pairs(s, high(wb, mask)));
        wa = v128.load(v, 64); wb = v128.load(v, 80);
        s = v128.load32_splat(x, 16);
        A = i16x8.add(A, pairs(s, low(wa, mask))); B = i16x8.add(B, pairs(s, low(wb, mask)));
        s = v128.load32_splat(x, 20);
        A = i16x8.add(A, pairs(s, high(wa, mask))); B = i16x8.add(B, pairs(s, high(wb, mask)));
        wa = v128.load(v, 96); wb = v128.load(v, 112);
        s = v128.load32_splat(x, 24);
        A = i16x8.add(A, pairs(s, low(wa, mask))); B = i16x8.add(B, pairs(s, low(wb, mask)));
        s = v128.load32_splat(x, 28);
        A = i16x8.add(A, pairs(s, high(wa, mask))); B = i16x8.add(B, pairs(s, high(wb, mask)));
        const f = v128.load32_splat(m), c = v128.load32_splat(m, 4);
        a = fold(widen(A, ones, c), f32x4.mul(scales(v + 128, offset), f), a);
        b = fold(widen(B, ones, c), f32x4.mul(scales(v + 136, offset), f), b);
        v += 144; x += 32; m += 8;
      }
      const o = out + <usize>t * outStride;
      put(o, a, bias, add); put(o + 16, b, bias4, add);
    }
    w += panelBytes; out += 32;
    if (bias) bias += 32;
  }
}
