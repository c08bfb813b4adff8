// Checkpoint elements to the form in which they are stored. f32 and f16 as they are or to the nearest; int8 and int4 as
// symmetric integers with one f32 scale per group of inputs: weight = integer * scale, int4 in -8..7, int8 in -127..127.
// The scale minimises the squared error. For the rounded integers q of a trial scale, the best scale is sum(wq) / sum(qq)
// and leaves sum(ww) - sum(wq)^2 / sum(qq); the trial with the largest sum(wq)^2 / sum(qq) wins. The arithmetic is WebAssembly
// SIMD (kernels/assembly), widening included: what a compilation costs is written down in docs/performance.md.
import type { CheckpointDtype } from '../checkpoint/safetensors.ts';
import type { WeightType } from '../options.ts';
import { CONVERT_WASM } from './gen/convert-wasm.ts';

/** Trial scales are max |w| / divisor. Larger scales waste levels, smaller ones clip the largest weight. */
const INT4_DIVISORS = [5.6, 6.2, 6.7, 7.1, 7.5, 8, 8.5, 9.1, 9.8, 10.6];
/** At 8 bits clipping almost never pays; one trial with its best scale is within 1 % of a search. */
const INT8_DIVISORS = [127];

export interface StoredForm {
  dtype: WeightType;
  /** Inputs that share a scale; divides the number of elements. 0 for floats. */
  group: number;
  /** 0: two's complement; 8 (int4) or 128 (int8): unsigned. */
  zeroPoint: number;
}

export interface Converted {
  /** f32, f16: little-endian; int8: one byte a weight; int4: two a byte, even index in the low nibble. Zero point added. */
  data: Uint8Array;
  /** One per group; empty for floats. */
  scales: Float32Array;
  /** Infinite where a value lies beyond f16. */
  squaredError: number;
  /** Not finite where a value is not. */
  squaredSum: number;
}

interface Kernel {
  memory: WebAssembly.Memory;
  heapStart(): number;
  lastSquaredError(): number;
  lastSquaredSum(): number;
  widenBf16(from: number, to: number, count: number): void;
  widenF16(from: number, to: number, count: number): void;
  narrowF16(from: number, to: number, count: number): void;
  measure(from: number, count: number): void;
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
 * Converts little-endian elements of type `from`, `add` added to each; int4 needs an even number. The results are views
 * into the kernel's memory: good until the next call.
 */
export function convert(
  elements: Uint8Array,
  from: CheckpointDtype,
  add: number,
  { dtype, group, zeroPoint }: StoredForm,
): Converted {
  const k = (kernel ??= instantiate());
  const width = from === 'F32' ? 4 : 2;
  const count = elements.length / width;
  const groups = group === 0 ? 0 : count / group;
  const block = Math.min(blockOf(group), roomFor(count));
  const bytes = { f32: 4 * count, f16: 2 * count, int8: count, int4: count / 2 }[dtype];
  const [sourceAt, valuesAt, dataAt, scalesAt, divisorsAt, scratchAt] = allocate(k, [
    from === 'F32' ? 0 : 2 * block,
    dtype === 'f32' ? 0 : 4 * block,
    // Floats are written eight at a time.
    dtype === 'f32' ? 4 * roomFor(count) : dtype === 'f16' ? 2 * roomFor(count) : bytes,
    4 * groups,
    4 * INT4_DIVISORS.length,
    group + 16,
  ]) as [number, number, number, number, number, number];
  const { buffer } = k.memory;
  const memory = new Uint8Array(buffer);
  const divisors = dtype === 'int4' ? INT4_DIVISORS : INT8_DIVISORS;
  new Float32Array(buffer, divisorsAt, divisors.length).set(divisors);
  let squaredError = 0;
  let squaredSum = 0;
  for (let start = 0; start < count; start += block) {
    const n = Math.min(block, count - start);
    const at = dtype === 'f32' ? dataAt + 4 * start : valuesAt;
    memory.set(elements.subarray(start * width, (start + n) * width), from === 'F32' ? at : sourceAt);
    if (from === 'BF16') k.widenBf16(sourceAt, at, n);
    if (from === 'F16') k.widenF16(sourceAt, at, n);
    const values = new Float32Array(buffer, at, roomFor(n));
    if (add !== 0) for (let i = 0; i < n; i++) values[i]! += add;
    // What the last eight hold beyond the end must not be counted.
    values.fill(0, n);
    if (dtype === 'f32') k.measure(at, n);
    else if (dtype === 'f16') k.narrowF16(at, dataAt + 2 * start, n);
    else {
      const bits = dtype === 'int4' ? 4 : 8;
      k.quantise(
        at,
        n / group,
        group,
        bits,
        zeroPoint,
        divisorsAt,
        divisors.length,
        dataAt + (start * bits) / 8,
        scalesAt + (4 * start) / group,
        scratchAt,
      );
    }
    squaredError += k.lastSquaredError();
    squaredSum += k.lastSquaredSum();
  }
  return {
    data: new Uint8Array(buffer, dataAt, bytes),
    scales: new Float32Array(buffer, scalesAt, groups),
    squaredError,
    squaredSum,
  };
}

/** Elements that are widened and quantised at a time: 128 KB of bf16 and 256 KB of f32 stay in a core's second cache. */
const BLOCK = 65536;

/** Whole groups, and a multiple of the kernel's eight. */
function blockOf(group: number): number {
  const unit = 8 * Math.max(1, group);
  return unit * Math.max(1, Math.floor(BLOCK / unit));
}

/** The kernel's loops work on eight elements at a time. */
function roomFor(count: number): number {
  return Math.ceil(count / 8) * 8;
}

/** A few kilobytes, compiled on the spot: synchronous compilation is allowed in workers and in Node. */
function instantiate(): Kernel {
  const bytes = Uint8Array.from(atob(CONVERT_WASM), (c) => c.charCodeAt(0));
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    env: {
      abort() {
        throw new Error('convert kernel aborted');
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
