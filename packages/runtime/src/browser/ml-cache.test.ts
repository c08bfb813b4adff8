// The cache of WebNN tensors on a context that runs out of memory; real contexts run in test/browser.
import { Tensor } from 'onnxruntime-common';
import type { Manifest } from '@baton/compiler';
import { expect, test } from 'vitest';
import { MlCache, type MlContext } from './ml-cache.ts';

const manifest = { architecture: { kvHeads: 1, headDim: 4, layers: [{}, {}, {}] } } as unknown as Manifest;

/** A context that has memory for so many tensors. */
function context(most: number): MlContext & { held: number } {
  return {
    held: 0,
    async createTensor() {
      if (this.held === most) throw new DOMException('out of memory', 'OperationError');
      this.held++;
      return { destroy: () => void this.held-- };
    },
    writeTensor: () => undefined,
    readTensor: async () => new ArrayBuffer(16 * 4),
  };
}

test('a cache that there is no memory for leaves none of its tensors behind', async () => {
  const small = context(5);
  await expect(MlCache.create(small, Tensor, manifest, 4, 'f32')).rejects.toThrow('out of memory');
  expect(small.held).toBe(0);
});

test('a cache that cannot grow stays as it was', async () => {
  const some = context(9);
  const cache = await MlCache.create(some, Tensor, manifest, 4, 'f32');
  await expect(cache.resize(8, 2)).rejects.toThrow('out of memory');
  expect([some.held, cache.capacity]).toEqual([6, 4]);
  cache.close();
  expect(some.held).toBe(0);
});
