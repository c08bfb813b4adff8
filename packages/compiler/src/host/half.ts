// Two-byte floats to f32, for hosts that look up rows of f16 tables (and for BF16 checkpoints).

const bits = new DataView(new ArrayBuffer(4));

/** IEEE 754 binary16 bits to a number. */
export function halfToFloat(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  bits.setUint32(0, ((half & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13));
  return bits.getFloat32(0);
}
