// The host cache: new rows land in their slots, growing keeps them, and closing a gap turns keys back exactly.
import { ropeRows, type Manifest } from '@baton/compiler';
import { Tensor } from 'onnxruntime-common';
import { expect, test } from 'vitest';
import { HostCache } from './cache.ts';

const [kvHeads, headDim, dims] = [2, 8, 6];
const rope = {
  dims,
  theta: 10_000,
  scaling: 'default',
  inverseFrequencies: [1, 0.1, 0.01],
  attentionFactor: 1,
};
// Only what the cache reads: two layers, one with (partial) rotation and one without.
const manifest = {
  architecture: {
    kvHeads,
    headDim,
    layers: [
      { mask: 0, rope: 0 },
      { mask: 0, rope: null },
    ],
  },
  rope: [rope],
} as unknown as Manifest;
const runner = {
  tensor: (spec: { dims: readonly number[] }, data: unknown) =>
    new Tensor('float32', data as Float32Array, spec.dims),
};

/** The key of token `t` before rotation. */
const plain = (t: number, h: number, j: number): number => Math.sin(1 + t * 7 + h * 3 + j);

/** Keys of tokens at positions, turned as the graph turns them: [kvHeads, tokens, headDim]. */
function keys(tokens: readonly number[], positions: readonly number[]): Float32Array {
  const out = new Float32Array(kvHeads * tokens.length * headDim);
  tokens.forEach((token, i) => {
    const { cos, sin } = ropeRows(rope, positions[i]!, 1);
    for (let h = 0; h < kvHeads; h++) {
      for (let j = 0; j < headDim; j++) {
        const partner = j < dims / 2 ? j + dims / 2 : j - dims / 2;
        const turned =
          j < dims ? plain(token, h, j) * cos[j]! + plain(token, h, partner) * sin[j]! : plain(token, h, j);
        out[(h * tokens.length + i) * headDim + j] = turned;
      }
    }
  });
  return out;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function filled(capacity: number, tokens: number): HostCache {
  const cache = new HostCache(manifest, capacity, 'f32', runner);
  const tensor = (data: Float32Array): Tensor => new Tensor('float32', data, [1, kvHeads, tokens, headDim]);
  const turned = tensor(keys(range(0, tokens), range(0, tokens)));
  const still = tensor(keys(range(0, tokens), range(0, tokens).fill(0)));
  cache.store(
    [
      { layer: 0, key: turned, value: still },
      { layer: 1, key: still, value: still },
    ],
    tokens,
    0,
    tokens,
  );
  return cache;
}

function slots(data: ArrayLike<number>, capacity: number, count: number): number[] {
  return range(0, kvHeads).flatMap((h) =>
    Array.from(data).slice(h * capacity * headDim, (h * capacity + count) * headDim),
  );
}

test('evicting closes the gap: keys are those of the kept tokens at their new positions, values just move', () => {
  const cache = filled(16, 12);
  cache.evict(3, 4, 12);
  const kept = [0, 1, 2, 7, 8, 9, 10, 11];
  slots(cache.layers[0]!.key, 16, 8).forEach((x, i) => expect(x).toBeCloseTo(keys(kept, range(0, 8))[i]!, 5));
  expect(slots(cache.layers[0]!.value, 16, 8)).toEqual([...keys(kept, range(0, 8).fill(0))]);
  expect(slots(cache.layers[1]!.key, 16, 8)).toEqual([...keys(kept, range(0, 8).fill(0))]);
});

test('growing keeps the live slots of every head', () => {
  const cache = filled(12, 12);
  const before = slots(cache.layers[0]!.key, 12, 9);
  cache.resize(20, 9);
  expect(cache.capacity).toBe(20);
  expect(slots(cache.layers[0]!.key, 20, 9)).toEqual(before);
  expect(slots(cache.layers[0]!.key, 20, 20).filter((x) => x !== 0).length).toBeLessThanOrEqual(
    before.length,
  );
});

test('a padded chunk stores only its real rows', () => {
  const cache = new HostCache(manifest, 8, 'f32', runner);
  const chunk = new Tensor('float32', keys(range(0, 4), range(0, 4)), [1, kvHeads, 4, headDim]);
  cache.store([{ layer: 0, key: chunk, value: chunk }], 4, 6, 2);
  const key = cache.layers[0]!.key;
  for (let h = 0; h < kvHeads; h++) {
    expect([...key.subarray(h * 8 * headDim, (h * 8 + 6) * headDim)].every((x) => x === 0)).toBe(true);
    expect(key[(h * 8 + 7) * headDim]).toBe((chunk.data as Float32Array)[(h * 4 + 1) * headDim]);
  }
});
