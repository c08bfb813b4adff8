// Symmetric integers with one f32 scale per group of inputs: weight = integer * scale, int4 in -8..7, int8 in -127..127.
// The scale minimises the squared error. For rounded integers q of a trial scale, the best scale is sum(wq) / sum(qq) and
// leaves sum(ww) - sum(wq)^2 / sum(qq); the trial with the largest sum(wq)^2 / sum(qq) wins.

/** Trial scales as max |w| / divisor. Wider trials clip the largest weight, narrower ones waste a level. */
const INT4_DIVISORS = [6.4, 7, 7.5, 8.1, 8.8, 9.6];
/** At 8 bits clipping almost never pays; one trial with its best scale is within 1 % of a search. */
const INT8_DIVISORS = [127];

/** Adding and taking it off rounds a small double to the nearest integer, ties to even; faster than Math.round. */
const ROUND = 2 ** 52 * 1.5;

export interface Quantised {
  /** int8: one byte a weight; int4: two a byte, even index in the low nibble. Zero point added. */
  data: Uint8Array;
  /** [rows, inputs / group]. */
  scales: Float32Array;
  squaredError: number;
  squaredSum: number;
}

/** Quantises f32 [rows, inputs]; `group` divides `inputs`. `zeroPoint` 0 stores two's complement. */
export function quantise(
  values: Float32Array,
  group: number,
  dtype: 'int8' | 'int4',
  zeroPoint: number,
): Quantised {
  const groups = values.length / group;
  const data = new Uint8Array(dtype === 'int4' ? values.length / 2 : values.length);
  const scales = new Float32Array(groups);
  const [low, high, divisors] = dtype === 'int4' ? [-8, 7, INT4_DIVISORS] : [-127, 127, INT8_DIVISORS];
  const integers = new Int8Array(group);
  let squaredError = 0;
  let squaredSum = 0;
  for (let g = 0; g < groups; g++) {
    const from = g * group;
    const scale = bestScale(values, from, group, low, high, divisors);
    scales[g] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let k = 0; k < group; k++) {
      const w = values[from + k]!;
      let q = w * inverse + ROUND - ROUND;
      if (q > high) q = high;
      else if (q < low) q = low;
      integers[k] = q;
      const e = w - q * scale;
      squaredError += e * e;
      squaredSum += w * w;
    }
    pack(integers, data, from, dtype, zeroPoint);
  }
  return { data, scales, squaredError, squaredSum };
}

function bestScale(
  values: Float32Array,
  from: number,
  group: number,
  low: number,
  high: number,
  divisors: readonly number[],
): number {
  let max = 0;
  for (let k = 0; k < group; k++) {
    const w = Math.abs(values[from + k]!);
    if (w > max) max = w;
  }
  // Below the smallest normal f32 a scale would lose its bits; such a group is zero for every purpose.
  if (max < 1e-35) return 0;
  let bestGain = -1;
  let best = 0;
  for (const divisor of divisors) {
    const inverse = divisor / max;
    let wq = 0;
    let qq = 0;
    for (let k = 0; k < group; k++) {
      const w = values[from + k]!;
      let q = w * inverse + ROUND - ROUND;
      if (q > high) q = high;
      else if (q < low) q = low;
      wq += w * q;
      qq += q * q;
    }
    const gain = (wq * wq) / qq;
    if (gain > bestGain) {
      bestGain = gain;
      best = wq / qq;
    }
  }
  return Math.fround(best);
}

function pack(
  integers: Int8Array,
  data: Uint8Array,
  from: number,
  dtype: 'int8' | 'int4',
  zeroPoint: number,
): void {
  const group = integers.length;
  if (dtype === 'int8') {
    for (let k = 0; k < group; k++) data[from + k] = integers[k]! + zeroPoint;
    return;
  }
  const at = from / 2;
  for (let k = 0; k < group; k += 2) {
    data[at + k / 2] = ((integers[k]! + zeroPoint) & 15) | (((integers[k + 1]! + zeroPoint) & 15) << 4);
  }
}
