import type { ModelFiles } from '@baton/compiler';
import { expect, test } from 'vitest';
import { readAhead } from './read-ahead.ts';

const SIZE = 20 << 20;
const byteAt = (i: number): number => (i * 31 + (i >> 8)) & 255;

/** A file of numbers that are known by their place; counts what is read. */
function numbered(): ModelFiles & { reads: [number, number | undefined][] } {
  const reads: [number, number | undefined][] = [];
  return {
    reads,
    size: async () => SIZE,
    read: async (_path, offset = 0, length = SIZE - offset) => {
      reads.push([offset, length]);
      if (offset + length > SIZE) throw new Error('the file ends');
      return Uint8Array.from({ length }, (_, i) => byteAt(offset + i));
    },
  };
}

test('small reads in and out of order are right and come from a few large ones', async () => {
  const files = numbered();
  const ahead = readAhead(files);
  const places = Array.from({ length: 200 }, (_, i) => (i * 97_003) % (SIZE - 5000));
  places.sort((a, b) => a - b);
  places.push(3, SIZE - 5000, (4 << 20) - 17, (8 << 20) - 1);
  const parts = await Promise.all(places.map((at) => ahead.read('w', at, 5000)));
  for (const [i, part] of parts.entries()) {
    expect(part).toHaveLength(5000);
    for (const k of [0, 1, 2500, 4999]) expect(part[k]).toBe(byteAt(places[i]! + k));
  }
  expect(files.reads.length).toBeLessThan(12);
});

test('what was read belongs to the caller, and nothing is held after drop', async () => {
  const files = numbered();
  const ahead = readAhead(files);
  (await ahead.read('w', 100, 10)).fill(0);
  expect((await ahead.read('w', 100, 10))[0]).toBe(byteAt(100));
  expect(files.reads).toHaveLength(1);
  ahead.drop();
  await ahead.read('w', 100, 10);
  expect(files.reads).toHaveLength(2);
});

test('whole files and large ranges pass through, and a read beyond the end fails as the files do', async () => {
  const files = numbered();
  const ahead = readAhead(files);
  await ahead.read('w');
  await ahead.read('w', 8, 6 << 20);
  expect(files.reads).toEqual([
    [0, SIZE],
    [8, 6 << 20],
  ]);
  await expect(ahead.read('w', SIZE - 4, 8)).rejects.toThrow('the file ends');
});
