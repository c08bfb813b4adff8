// Reads memory in order and does nothing with it: the bandwidth that every pass over the weights is compared with.

/** OR of `bytes` (a multiple of 64) from `p`, kept so that the reads cannot be dropped. */
export function readAll(p: usize, bytes: usize, out: usize): void {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (const end = p + bytes; p < end; p += 64) {
    a = v128.or(a, v128.load(p));
    b = v128.or(b, v128.load(p, 16));
    c = v128.or(c, v128.load(p, 32));
    d = v128.or(d, v128.load(p, 48));
  }
  v128.store(out, v128.or(v128.or(a, b), v128.or(c, d)));
}
