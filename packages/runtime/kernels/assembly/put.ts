// The end of every product: four finished rows go to memory.

/** Writes four rows: plus the bias where there is one, plus what is already there when `add` is 1. */
@inline
export function put(out: usize, acc: v128, bias: usize, add: i32): void {
  if (bias) acc = f32x4.add(acc, v128.load(bias));
  if (add) acc = f32x4.add(acc, v128.load(out));
  v128.store(out, acc);
}
