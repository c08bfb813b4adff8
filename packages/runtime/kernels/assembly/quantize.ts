// Activations become integers, one scale per block of 32 inputs, once per vector and not once per row.

/** q[4 * i ..] of a block as i32x4. */
@inline
function quads(x: usize, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), inverse)));
}

/**
 * For each block: scale = max|x| / limit, q = x / scale rounded to nearest (error at most scale / 2).
 * meta gets {f32 scale, i32 -8 * sum q} per block. limit is at most 127 for order 0 and 32767 otherwise.
 * order 0: int8, natural (32 bytes a block); 1: int16, each 8 inputs as 0,2,4,6,1,3,5,7; 2: int16, natural (64 bytes).
 */
export function quantize(x: usize, blocks: i32, q: usize, meta: usize, order: i32, limit: f32): void {
  for (let b = 0; b < blocks; b++) {
    let m = f32x4.abs(v128.load(x));
    m = f32x4.pmax(m, f32x4.abs(v128.load(x, 16)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(x, 32)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(x, 48)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(x, 64)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(x, 80)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(x, 96)));
    m = f32x4.pmax(m, f32x4.abs(v128.load(x, 112)));
    m = f32x4.pmax(m, v128.shuffle<f32>(m, m, 2, 3, 0, 1));
    m = f32x4.pmax(m, v128.shuffle<f32>(m, m, 1, 0, 3, 2));
    const largest = f32x4.extract_lane(m, 0);
    const inverse = f32x4.splat(largest > 0 ? limit / largest : 0);
    // Rounding may exceed the limit by one for a value at the maximum; the narrowing below holds it at the type's end.
    const a = i16x8.narrow_i32x4_s(quads(x, inverse), quads(x + 16, inverse));
    const c = i16x8.narrow_i32x4_s(quads(x + 32, inverse), quads(x + 48, inverse));
    const d = i16x8.narrow_i32x4_s(quads(x + 64, inverse), quads(x + 80, inverse));
    const e = i16x8.narrow_i32x4_s(quads(x + 96, inverse), quads(x + 112, inverse));
    const one = i16x8.splat(1);
    let sum = i32x4.add(
      i32x4.add(i32x4.dot_i16x8_s(a, one), i32x4.dot_i16x8_s(c, one)),
      i32x4.add(i32x4.dot_i16x8_s(d, one), i32x4.dot_i16x8_s(e, one)),
    );
    sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 2, 3, 0, 1));
    sum = i32x4.add(sum, v128.shuffle<i32>(sum, sum, 1, 0, 3, 2));
    store<f32>(meta, largest / limit);
    store<i32>(meta, -8 * i32x4.extract_lane(sum, 0), 4);
    if (order == 0) {
      v128.store(q, i8x16.narrow_i16x8_s(a, c));
      v128.store(q, i8x16.narrow_i16x8_s(d, e), 16);
      q += 32;
    } else if (order == 1) {
      v128.store(q, v128.shuffle<i16>(a, a, 0, 2, 4, 6, 1, 3, 5, 7));
      v128.store(q, v128.shuffle<i16>(c, c, 0, 2, 4, 6, 1, 3, 5, 7), 16);
      v128.store(q, v128.shuffle<i16>(d, d, 0, 2, 4, 6, 1, 3, 5, 7), 32);
      v128.store(q, v128.shuffle<i16>(e, e, 0, 2, 4, 6, 1, 3, 5, 7), 48);
      q += 64;
    } else {
      v128.store(q, a);
      v128.store(q, c, 16);
      v128.store(q, d, 32);
      v128.store(q, e, 48);
      q += 64;
    }
    meta += 8;
    x += 128;
  }
}
