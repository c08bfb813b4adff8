// Symmetric integers with one f32 scale per group of inputs: weight = integer * scale, int4 in -8..7, int8 in -127..127.
// The scale minimises the squared error. For the rounded integers q of a trial scale, the best scale is sum(wq) / sum(qq)
// and leaves sum(ww) - sum(wq)^2 / sum(qq); the trial with the largest sum(wq)^2 / sum(qq) wins. The arithmetic is a
// WebAssembly SIMD kernel (kernels/assembly/quantise.ts): 68 million weights a second where the same in JavaScript, with
// six trials instead of ten, did 12 on the same busy core.
import { QUANTISE_WASM } from './gen/quantise-wasm.ts';

/** Trial scales are max |w| / divisor. Larger scales waste levels, smaller ones clip the largest weight. */
const INT4_DIVISORS = [5.6, 6.2, 6.7, 7.1, 7.5, 8, 8.5, 9.1, 9.8, 10.6];
/** At 8 bits clipping almost never pays; one trial with its best scale is within 1 % of a search. */
const INT8_DIVISORS = [127];

export interface Quantised {
  /** int8: one byte a weight; int4: two a byte, even index in the low nibble. Zero point added. */
  data: Uint8Array;
  /** [values / group]. */
  scales: Float32Array;
  squaredError: number;
  squaredSum: number;
}

interface Kernel {
  memory: WebAssembly.Memory;
  heapStart(): number;
  lastSquaredError(): number;
  lastSquaredSum(): number;
  quantise(
    values: number,
    groups: number,
    group: number,
    bits: number,
    zeroPoint: number,
    divisors: number,
    trials: number,
    data: number,
    scales: number,
    scratch: number,
  ): void;
}

let kernel: Kernel | undefined;

/**
 * Quantises f32 values in groups of `group`, which divides their number (int4: is even). `zeroPoint` 0 stores two's
 * complement, 8 (int4) or 128 (int8) unsigned numbers. NaN or infinity shows as a squaredSum that is not finite.
 */
export function quantise(
  values: Float32Array,
  group: number,
  dtype: 'int8' | 'int4',
  zeroPoint: number,
): Quantised {
  const k = (kernel ??= instantiate());
  const groups = values.length / group;
  const divisors = dtype === 'int4' ? INT4_DIVISORS : INT8_DIVISORS;
  const bytes = dtype === 'int4' ? values.length / 2 : values.length;
  const at = allocate(k, [values.byteLength, divisors.length * 4, bytes, groups * 4, group + 16]);
  const [valuesAt, divisorsAt, dataAt, scalesAt, scratchAt] = at as [number, number, number, number, number];
  const { buffer } = k.memory;
  new Float32Array(buffer, valuesAt, values.length).set(values);
  new Float32Array(buffer, divisorsAt, divisors.length).set(divisors);
  const bits = dtype === 'int4' ? 4 : 8;
  k.quantise(
    valuesAt,
    groups,
    group,
    bits,
    zeroPoint,
    divisorsAt,
    divisors.length,
    dataAt,
    scalesAt,
    scratchAt,
  );
  return {
    data: new Uint8Array(buffer, dataAt, bytes).slice(),
    scales: new Float32Array(buffer, scalesAt, groups).slice(),
    squaredError: k.lastSquaredError(),
    squaredSum: k.lastSquaredSum(),
  };
}

/** A few kilobytes, compiled on the spot: synchronous compilation is allowed in workers and in Node. */
function instantiate(): Kernel {
  const bytes = Uint8Array.from(atob(QUANTISE_WASM), (c) => c.charCodeAt(0));
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: {
      abort() {
        throw new Error('quantise kernel aborted');
      },
    },
  }).exports as unknown as Kernel;
}

/** Addresses of 16-byte aligned areas of the given sizes; everything of the last call is given up. */
function allocate(k: Kernel, sizes: readonly number[]): number[] {
  let end = k.heapStart();
  const addresses = sizes.map((size) => {
    const address = end;
    end = (end + size + 15) & ~15;
    return address;
  });
  const missing = end - k.memory.buffer.byteLength;
  if (missing > 0) k.memory.grow(Math.ceil(missing / 65536));
  return addresses;
}
