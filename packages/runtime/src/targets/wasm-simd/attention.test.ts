// The attention kernel against the same sums in double precision: any window, any number of queries, and slots beside the
// window that hold anything.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heap } from './heap.ts';
import type { KernelSet } from './kernels.ts';
import { instantiateKernels, loadKernelModule } from './kernels.ts';
import { cacheLayout, keyLimit, scoreSlots } from './plan.ts';

interface Case {
  width: number;
  queries: number;
  begin: number;
  end: number;
  cap: number;
  /** Numbers by row, in turn; the query rows come from the same function with other indices. */
  key: (slot: number, column: number) => number;
  value: (slot: number, column: number) => number;
  query: (head: number, column: number) => number;
}

const CAPACITY = 96;

async function attend(set: KernelSet, made: Case): Promise<Float32Array[]> {
  const { width, queries, begin, end } = made;
  const heap = new Heap(false);
  const kernels = instantiateKernels(await loadKernelModule(set, false), heap.memory);
  const layout = cacheLayout({ keyValueHeads: 1, headWidth: width }, 0, CAPACITY);
  const base = heap.allocate(layout.layerBytes);
  new Uint8Array(heap.memory.buffer, base, layout.layerBytes).fill(0xff); // scales of NaN, numbers of -1
  const row = heap.allocate(width * 4);
  for (let slot = begin; slot < end; slot++) {
    heap.floats(row, width).forEach((_, c, x) => (x[c] = made.key(slot, c)));
    const key = base + slot * width * 2;
    heap.floats(base + layout.keyScales, CAPACITY)[slot] = kernels.quantizeRow(
      row,
      width,
      keyLimit(width),
      key,
    );
    heap.floats(row, width).forEach((_, c, x) => (x[c] = made.value(slot, c)));
    heap.floats(base + layout.valueScales, CAPACITY)[slot] = kernels.quantizeValue(
      row,
      width,
      base + layout.values,
      slot,
    );
  }
  const q = heap.allocate(queries * width * 4);
  heap.floats(q, queries * width).forEach((_, i, x) => (x[i] = made.query(Math.floor(i / width), i % width)));
  const out = heap.allocate(queries * width * 4);
  kernels.attend(
    q,
    queries,
    width * 4,
    width,
    base,
    base + layout.keyScales,
    base + layout.values,
    base + layout.valueScales,
    begin,
    end,
    width ** -0.5,
    made.cap,
    keyLimit(width),
    heap.allocate(3 * (2 * width + 4 * scoreSlots(CAPACITY))),
    scoreSlots(CAPACITY),
    out,
  );
  return Array.from({ length: queries }, (_, h) => heap.floats(out + h * width * 4, width).slice());
}

/** A row as its integers of at most `limit` stand for it, in single precision where the kernel is. */
function rounded(width: number, limit: number, number: (column: number) => number): number[] {
  const row = Float32Array.from({ length: width }, (_, c) => number(c));
  const most = row.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
  const inverse = Math.fround(limit / most);
  const scale = Math.fround(most / limit);
  return Array.from(row, (x) => Math.round(Math.fround(x * inverse)) * scale);
}

function expected(made: Case, head: number): number[] {
  const { width, begin, end, cap } = made;
  const slots = Array.from({ length: end - begin }, (_, i) => begin + i);
  const query = rounded(width, keyLimit(width), (c) => made.query(head, c));
  const scores = slots.map((slot) => {
    const key = rounded(width, keyLimit(width), (c) => made.key(slot, c));
    const s = key.reduce((sum, k, c) => sum + k * query[c]!, 0) * width ** -0.5;
    return cap > 0 ? cap * Math.tanh(s / cap) : s;
  });
  const top = Math.max(...scores);
  const weights = scores.map((s) => Math.exp(s - top));
  const sum = weights.reduce((a, b) => a + b);
  const values = slots.map((slot) => rounded(width, 32767, (c) => made.value(slot, c)));
  return Array.from(
    { length: width },
    (_, c) => weights.reduce((total, w, i) => total + w * values[i]![c]!, 0) / sum,
  );
}

async function farthest(set: KernelSet, made: Case): Promise<number> {
  const actual = await attend(set, made);
  return Math.max(
    ...actual.flatMap((row, head) => expected(made, head).map((x, c) => Math.abs(x - row[c]!))),
  );
}

describe.each(['relaxed', 'plain'] as const)('attention, %s kernels', (set) => {
  it('is that of its 16-bit rows within 1e-4 of the largest value, whatever the other slots hold', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(16, 64, 80, 128),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: CAPACITY - 1 }),
        fc.integer({ min: 1, max: CAPACITY }),
        fc.constantFrom(0, 30),
        fc.integer({ min: 1, max: 1000 }),
        fc.double({ min: 0.1, max: 3, noNaN: true }),
        async (width, queries, begin, length, cap, seed, sharpness) => {
          const noise = (i: number): number => ((Math.sin(i * 12.9898 + seed) * 43758.5453) % 1) * 2;
          const made: Case = {
            width,
            queries,
            begin,
            end: Math.min(CAPACITY, begin + length),
            cap,
            key: (s, c) => noise(s * 131 + c),
            value: (s, c) => noise(s * 173 + c + 5e4),
            query: (h, c) => sharpness * noise(h * 197 + c + 9e4),
          };
          expect(await farthest(set, made)).toBeLessThan(1e-4 * 2);
        },
      ),
      { numRuns: 300 },
    );
  });

  // Values all at their largest are where sums of integers could leave 32 bits: one slot, two, three, four or sixteen alike.
  it.each([1, 2, 3, 4, 5, 16, 64])(
    'does not overflow where %i slots count alike and all values are largest',
    async (alike) => {
      for (const sign of [1, -1]) {
        const made: Case = {
          width: 64,
          queries: 3,
          begin: 0,
          end: 70,
          cap: 0,
          key: (s) => (s < alike ? 1 : -1),
          value: () => sign * 5,
          query: () => 2,
        };
        expect(await farthest(set, made)).toBeLessThan(5e-5 * 5);
      }
    },
  );
});
