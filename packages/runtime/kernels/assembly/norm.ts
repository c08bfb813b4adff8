// RMS normalisation of rows and heads, and rotary position embedding (half-split, as Hugging Face checkpoints have it).
import { madd, sumLanes } from './math';

@inline
function inverseRms(x: usize, padded: i32, n: f32, eps: f32): f32 {
  let a = f32x4.splat(0), b = a;
  const end = x + (<usize>padded << 2);
  for (let p = x; p < end; p += 32) {
    const u = v128.load(p), v = v128.load(p, 16);
    a = madd(u, u, a);
    b = madd(v, v, b);
  }
  return 1 / sqrt<f32>(sumLanes(f32x4.add(a, b)) / n + eps);
}

/** out = x / rms(x) * weight; `padded` counts the floats stored (a multiple of 8, zeros behind the first n). */
export function rmsNorm(x: usize, weight: usize, padded: i32, n: i32, eps: f32, out: usize): void {
  const s = f32x4.splat(inverseRms(x, padded, <f32>n, eps));
  for (let i: usize = 0, end = <usize>padded << 2; i < end; i += 16) {
    v128.store(out + i, f32x4.mul(f32x4.mul(v128.load(x + i), s), v128.load(weight + i)));
  }
}

/** x += y / rms(y) * weight: the residual sum of families that normalise behind a block (Gemma 2, 3). */
export function addRmsNorm(x: usize, y: usize, weight: usize, padded: i32, n: i32, eps: f32): void {
  const s = f32x4.splat(inverseRms(y, padded, <f32>n, eps));
  for (let i: usize = 0, end = <usize>padded << 2; i < end; i += 16) {
    v128.store(x + i, f32x4.add(v128.load(x + i), f32x4.mul(f32x4.mul(v128.load(y + i), s), v128.load(weight + i))));
  }
}

/**
 * One head in place: RMS normalisation over its `width` numbers where `weight` is given (Qwen3), then rotation of the
 * first 2 * half numbers by the angles whose cosines and sines are at `cos` and `sin` (half floats each).
 */
export function rotateHead(x: usize, width: i32, half: i32, cos: usize, sin: usize, weight: usize, eps: f32): void {
  if (weight) {
    let sum: f32 = 0;
    for (let i = 0; i < width; i++) {
      const v = load<f32>(x + (<usize>i << 2));
      sum += v * v;
    }
    const s: f32 = 1 / sqrt<f32>(sum / <f32>width + eps);
    for (let i = 0; i < width; i++) {
      const o = <usize>i << 2;
      store<f32>(x + o, load<f32>(x + o) * s * load<f32>(weight + o));
    }
  }
  let i = 0;
  const y = x + (<usize>half << 2);
  for (; i + 4 <= half; i += 4) {
    const o = <usize>i << 2;
    const c = v128.load(cos + o), s = v128.load(sin + o), u = v128.load(x + o), v = v128.load(y + o);
    v128.store(x + o, f32x4.sub(f32x4.mul(u, c), f32x4.mul(v, s)));
    v128.store(y + o, f32x4.add(f32x4.mul(v, c), f32x4.mul(u, s)));
  }
  for (; i < half; i++) {
    const o = <usize>i << 2;
    const c = load<f32>(cos + o), s = load<f32>(sin + o), u = load<f32>(x + o), v = load<f32>(y + o);
    store<f32>(x + o, u * c - v * s);
    store<f32>(y + o, v * c + u * s);
  }
}
