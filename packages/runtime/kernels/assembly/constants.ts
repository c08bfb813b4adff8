// Vector constants kept in memory. V8 rebuilds a v128 constant from immediates at every use, in loops too (three or four
// instructions each); a constant that was loaded stays in its register or is one load away. Keeping the masks of the
// 4-bit product here made it 1.6 times as fast, exp4 1.8 times. The table lies behind the control words (build.mjs,
// --memoryBase), and every instance on one shared memory writes the same bytes.

const table: usize = memory.data<u32>([
  0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, // 0: low nibbles of bytes
  0x000f000f, 0x000f000f, 0x000f000f, 0x000f000f, // 1: low nibbles of 16-bit lanes
  0x00010001, 0x00010001, 0x00010001, 0x00010001, // 2: ones, 16 bits
  0x28000000, 0x28000000, 0x28000000, 0x28000000, // 3: 80 << 23, the exponent offset of scale codes
  0xc2ae999a, 0xc2ae999a, 0xc2ae999a, 0xc2ae999a, // 4: -87.3
  0x42b00000, 0x42b00000, 0x42b00000, 0x42b00000, // 5: 88
  0x4b400000, 0x4b400000, 0x4b400000, 0x4b400000, // 6: 1.5 * 2^23
  0x3fb8aa3b, 0x3fb8aa3b, 0x3fb8aa3b, 0x3fb8aa3b, // 7: log2 e
  0xbf318000, 0xbf318000, 0xbf318000, 0xbf318000, // 8: -0.693359375
  0x395e8083, 0x395e8083, 0x395e8083, 0x395e8083, // 9: 2.12194440e-4
  0x39506967, 0x39506967, 0x39506967, 0x39506967, // 10: 1.9875691500e-4
  0x3ab743ce, 0x3ab743ce, 0x3ab743ce, 0x3ab743ce, // 11: 1.3981999507e-3
  0x3c088908, 0x3c088908, 0x3c088908, 0x3c088908, // 12: 8.3334519073e-3
  0x3d2aa9c1, 0x3d2aa9c1, 0x3d2aa9c1, 0x3d2aa9c1, // 13: 4.1665795894e-2
  0x3e2aaaaa, 0x3e2aaaaa, 0x3e2aaaaa, 0x3e2aaaaa, // 14: 1.6666665459e-1
  0x3f000000, 0x3f000000, 0x3f000000, 0x3f000000, // 15: 5.0000001201e-1
  0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, // 16: 1
  0xc2a00000, 0xc2a00000, 0xc2a00000, 0xc2a00000, // 17: -80
  0x3c1ccbeb, 0x3c1ccbeb, 0x3c1ccbeb, 0x3c1ccbeb, // 18: 9.57010196764832e-3
  0x3d650a20, 0x3d650a20, 0x3d650a20, 0x3d650a20, // 19: 5.591786076153949e-2
  0x3e76036d, 0x3e76036d, 0x3e76036d, 0x3e76036d, // 20: 2.4024744830311145e-1
  0x3f31706e, 0x3f31706e, 0x3f31706e, 0x3f31706e, // 21: 6.931218146828066e-1
  0x3f7ffff4, 0x3f7ffff4, 0x3f7ffff4, 0x3f7ffff4, // 22: 9.999992614437773e-1
], 16);

export const LOW_BYTES = 0, LOW_SHORTS = 1, ONES_16 = 2, SCALE_OFFSET = 3;
export const EXP_LEAST = 4, EXP_MOST = 5, EXP_ROUND = 6, LOG2_E = 7, LN2_HIGH = 8, LN2_LOW = 9, EXP_P = 10, ONE = 16, EXP2_LEAST = 17, EXP2_P = 18;

@inline
export function constant(index: i32): v128 {
  return v128.load(table + (<usize>index << 4));
}
