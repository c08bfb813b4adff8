// The end of every product: four finished rows go to memory.

/** Writes four rows: plus the bias where there is one, plus what is already there when `add` is 1. */
@inline
export function put(out: usize, acc: v128, bias: usize, add: i32): void {
  if (bias) acc = f32x4.add(acc, v128.load(bias));
  if (add) acc = f32x4.add(acc, v128.load(out));
  v128.store(out, acc);
}

/** Writes eight rows for each of n tokens, 2 to 4, `stride` bytes apart; n constant where this is inlined. */
@inline
export function putTokens(
  n: i32, out: usize, stride: usize, bias: usize, bias4: usize, add: i32,
  a0: v128, b0: v128, a1: v128, b1: v128, a2: v128, b2: v128, a3: v128, b3: v128,
): void {
  let o = out;
  put(o, a0, bias, add); put(o + 16, b0, bias4, add); o += stride;
  put(o, a1, bias, add); put(o + 16, b1, bias4, add); o += stride;
  if (n > 2) {
    put(o, a2, bias, add); put(o + 16, b2, bias4, add); o += stride;
  }
  if (n > 3) {
    put(o, a3, bias, add); put(o + 16, b3, bias4, add);
  }
}
