// What the kernel makes of weights, against definitions in plain numbers.
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { buildKernel, OUTPUT } from '../../kernels/build.mjs';
import { halfToFloat } from '../host/half.ts';
import { convert, type Converted } from './convert.ts';

function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function quantise(values: Float32Array, group: number, dtype: 'int8' | 'int4', zeroPoint: number): Converted {
  const converted = convert(bytesOf(values), 'F32', 0, { dtype, group, zeroPoint });
  return { ...converted, data: converted.data.slice(), scales: converted.scales.slice() };
}

function noise(n: number, seed = 1): Float32Array {
  let state = seed;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: n }, () => 0.05 * (next() + next() + next() - 1.5));
}

function restore(
  dtype: 'int8' | 'int4',
  data: Uint8Array,
  scales: Float32Array,
  group: number,
  zero: number,
): number[] {
  const values = dtype === 'int8' ? [...data] : [...data].flatMap((b) => [b & 15, b >> 4]);
  const bits = dtype === 'int8' ? 24 : 28;
  return values.map((q, i) => (zero ? q - zero : (q << bits) >> bits) * scales[Math.floor(i / group)]!);
}

function squares(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((n, x, i) => n + (x - b[i]!) ** 2, 0);
}

// Groups of 22 and 6 end in the kernel's scalar tail.
it.each([
  ['int4', 32, 0],
  ['int4', 22, 8],
  ['int8', 16, 0],
  ['int8', 6, 128],
] as const)(
  '%s in groups of %i with zero point %i: what is stored has the error that is reported',
  (dtype, group, zero) => {
    const values = noise(group * 9);
    const { data, scales, squaredError, squaredSum } = quantise(values, group, dtype, zero);
    const stored = restore(dtype, data, scales, group, zero);
    expect(squares(values, stored)).toBeCloseTo(squaredError, 8);
    expect(squaredSum).toBeCloseTo(squares(values, new Float32Array(values.length)), 6);
    expect(Math.sqrt(squaredError / squaredSum)).toBeLessThan(dtype === 'int4' ? 0.1 : 0.006);
  },
);

it('has a smaller error than scales taken from the maximum, and no scale near its own does better', () => {
  const group = 32;
  const values = noise(group * 64);
  const { scales, squaredError } = quantise(values, group, 'int4', 0);
  const errorWith = (scale: (g: number) => number) =>
    squares(
      values,
      values.map((w, i) => {
        const s = scale(Math.floor(i / group));
        return Math.min(7, Math.max(-8, Math.round(w / s))) * s;
      }),
    );
  const largest = (g: number) => Math.max(...values.subarray(g * group, (g + 1) * group).map(Math.abs));
  expect(squaredError).toBeLessThan(0.95 * errorWith((g) => largest(g) / 7));
  for (const nudge of [0.995, 1.005]) expect(squaredError).toBeLessThan(errorWith((g) => scales[g]! * nudge));
});

it('stores a group of zeros as zeros, and shows NaN and infinity in the sum', () => {
  const zeros = quantise(new Float32Array(32), 32, 'int4', 0);
  expect([...zeros.data, ...zeros.scales].every((x) => x === 0)).toBe(true);
  for (const bad of [NaN, Infinity, -Infinity]) {
    const values = noise(32);
    values[7] = bad;
    expect(Number.isFinite(quantise(values, 32, 'int8', 0).squaredSum)).toBe(false);
  }
});

const FLOAT = { group: 0, zeroPoint: 0 } as const;
const f32 = (data: Uint8Array) => new Float32Array(data.slice().buffer);
const everyHalf = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

it('widens every binary16 and every bf16 exactly, NaN and infinity included', () => {
  const halves = f32(convert(bytesOf(everyHalf), 'F16', 0, { dtype: 'f32', ...FLOAT }).data);
  everyHalf.forEach((bits) => expect(Object.is(halves[bits], halfToFloat(bits)), String(bits)).toBe(true));
  const brains = convert(bytesOf(everyHalf), 'BF16', 0, { dtype: 'f32', ...FLOAT }).data.slice();
  const bits = new Uint32Array(brains.buffer);
  everyHalf.forEach((b) => expect(bits[b]).toBe(b * 65536));
});

it('narrows f32 to the nearest binary16, ties to even, and says what was lost', () => {
  const near = Array.from(everyHalf, halfToFloat).filter((x) => Number.isFinite(x));
  // Around every f16: itself, just beside it, and half-way to the next.
  const values = Float32Array.from(
    near.flatMap((x, i) => [x, x * (1 + 2 ** -20), x * (1 - 2 ** -20), (x + (near[i + 1] ?? x)) / 2]),
  );
  const whole = values.filter((x) => Math.abs(x) < 65520);
  const { data, squaredError, squaredSum } = convert(bytesOf(whole), 'F32', 0, { dtype: 'f16', ...FLOAT });
  const expected = new Float16Array(whole);
  expect(Buffer.from(data).equals(new Uint8Array(expected.buffer))).toBe(true);
  expect(squaredError / squares(whole, expected)).toBeCloseTo(1, 5);
  expect(squaredSum / squares(whole, new Float32Array(whole.length))).toBeCloseTo(1, 5);
  const odd = convert(bytesOf(Float32Array.of(1, NaN, 65520, -1e9, 65519)), 'F32', 0, {
    dtype: 'f16',
    ...FLOAT,
  });
  expect(Array.from(new Float16Array(odd.data.slice().buffer))).toEqual([1, NaN, Infinity, -Infinity, 65504]);
  expect(Number.isFinite(odd.squaredError)).toBe(false);
});

it('adds the offset of a family to as many elements as there are', () => {
  const bits = Uint16Array.of(0x3f80, 0xc000, 0, 0x3f80, 0x4040);
  const { data, squaredSum } = convert(bytesOf(bits), 'BF16', 1, { dtype: 'f32', ...FLOAT });
  expect(Array.from(f32(data))).toEqual([2, -1, 1, 2, 4]);
  expect(squaredSum).toBe(4 + 1 + 1 + 4 + 16);
});

it('is what its source compiles to', async () => {
  expect((await readFile(OUTPUT, 'utf8')).replace(/\s/g, '')).toBe((await buildKernel()).replace(/\s/g, ''));
});
