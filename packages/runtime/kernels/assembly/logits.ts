// What is asked of a row of logits: a soft cap, the largest and its place, the sum of exponentials.
import { exp4, maxLanes, sumLanes, tanh4 } from './math';

/** x = cap * tanh(x / cap), n a multiple of 4. */
export function softCap(x: usize, n: i32, cap: f32): void {
  const c = f32x4.splat(cap), inverse = f32x4.splat(1 / cap);
  for (let i: usize = 0, end = <usize>n << 2; i < end; i += 16) {
    v128.store(x + i, f32x4.mul(c, tanh4(f32x4.mul(v128.load(x + i), inverse))));
  }
}

/**
 * out: {f32 largest, i32 its first index, f64 sum of e^(x - largest)}. NaN anywhere gives NaN. n counts real logits; up to three
 * padding places behind them are overwritten by -Infinity.
 */
export function summarize(x: usize, n: i32, out: usize): void {
  const padded = (n + 3) & ~3;
  for (let i = n; i < padded; i++) store<f32>(x + (<usize>i << 2), -Infinity);
  const end = x + (<usize>padded << 2);
  let m = v128.load(x);
  for (let p = x + 16; p < end; p += 16) m = f32x4.pmax(m, v128.load(p));
  const top = maxLanes(m);
  let index = 0;
  while (index < n && load<f32>(x + (<usize>index << 2)) != top) index++;
  const t = f32x4.splat(top);
  let sum: f64 = 0;
  for (let p = x; p < end; ) {
    // 64 vectors at a time in f32, then f64, so that the sum of a large vocabulary keeps its last digits.
    let part = f32x4.splat(0);
    for (let stop = min(p + 1024, end); p < stop; p += 16) part = f32x4.add(part, exp4(f32x4.sub(v128.load(p), t)));
    sum += <f64>sumLanes(part);
  }
  store<f32>(out, top);
  store<i32>(out, index, 4);
  store<f64>(out, sum, 8);
}
