// Products of f32 weights with f32 activations. Packing: panels of 8 rows, for each input 8 floats, one per row.
import { madd } from './math';
import { put, putTokens } from './put';

/** One panel times n rows, 2 to 4, n constant where this is inlined. */
@inline
function several(
  n: i32, w: usize, panelBytes: usize, act: usize, actStride: usize,
  out: usize, outStride: usize, bias: usize, bias4: usize, add: i32,
): void {
  let x0 = act, x1 = x0 + actStride, x2 = x1 + actStride, x3 = x2 + actStride;
  let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  const end = w + panelBytes;
  for (let v = w; v < end; v += 64) {
    let wa = v128.load(v), wb = v128.load(v, 16);
    let s = v128.load32_splat(x0);
    a0 = madd(s, wa, a0); b0 = madd(s, wb, b0);
    s = v128.load32_splat(x1);
    a1 = madd(s, wa, a1); b1 = madd(s, wb, b1);
    if (n > 2) {
      s = v128.load32_splat(x2);
      a2 = madd(s, wa, a2); b2 = madd(s, wb, b2);
    }
    if (n > 3) {
      s = v128.load32_splat(x3);
      a3 = madd(s, wa, a3); b3 = madd(s, wb, b3);
    }
    wa = v128.load(v, 32); wb = v128.load(v, 48);
    s = v128.load32_splat(x0, 4);
    a0 = madd(s, wa, a0); b0 = madd(s, wb, b0);
    s = v128.load32_splat(x1, 4);
    a1 = madd(s, wa, a1); b1 = madd(s, wb, b1);
    if (n > 2) {
      s = v128.load32_splat(x2, 4);
      a2 = madd(s, wa, a2); b2 = madd(s, wb, b2);
    }
    if (n > 3) {
      s = v128.load32_splat(x3, 4);
      a3 = madd(s, wa, a3); b3 = madd(s, wb, b3);
    }
    x0 += 8; x1 += 8; x2 += 8; x3 += 8;
  }
  putTokens(n, out, outStride, bias, bias4, add, a0, b0, a1, b1, a2, b2, a3, b3);
}

/** out[t][8 * panel + r] (+)= W . x[t] (+ bias); `inputs` is a multiple of 4, strides are bytes between tokens. */
export function floatProduct(
  w: usize, panels: i32, inputs: i32, act: usize, actStride: usize,
  out: usize, outStride: usize, bias: usize, add: i32, tokens: i32,
): void {
  const panelBytes = <usize>inputs * 32;
  for (let p = 0; p < panels; p++) {
    const bias4 = bias ? bias + 16 : 0;
    let t = 0;
    while (tokens - t > 1) {
      const n = min(4, tokens - t);
      const x = act + <usize>t * actStride, o = out + <usize>t * outStride;
      if (n == 4) several(4, w, panelBytes, x, actStride, o, outStride, bias, bias4, add);
      else if (n == 3) several(3, w, panelBytes, x, actStride, o, outStride, bias, bias4, add);
      else several(2, w, panelBytes, x, actStride, o, outStride, bias, bias4, add);
      t += n;
    }
    if (t < tokens) {
      let x = act + <usize>t * actStride;
      let a = f32x4.splat(0), b = a, c = a, d = a;
      const end = w + panelBytes;
      for (let v = w; v < end; v += 128) {
        let s = v128.load32_splat(x);
        a = madd(s, v128.load(v), a); b = madd(s, v128.load(v, 16), b);
        s = v128.load32_splat(x, 4);
        c = madd(s, v128.load(v, 32), c); d = madd(s, v128.load(v, 48), d);
        s = v128.load32_splat(x, 8);
        a = madd(s, v128.load(v, 64), a); b = madd(s, v128.load(v, 80), b);
        s = v128.load32_splat(x, 12);
        c = madd(s, v128.load(v, 96), c); d = madd(s, v128.load(v, 112), d);
        x += 16;
      }
      const o = out + <usize>t * outStride;
      put(o, f32x4.add(a, c), bias, add); put(o + 16, f32x4.add(b, d), bias4, add);
    }
    w += panelBytes; out += 32;
    if (bias) bias += 32;
  }
}
