// What a closed cache leaves to the next one: its memory, never its numbers.
import { expect, test } from 'vitest';
import { discard } from './buffers.ts';
import { SpareBuffers } from './spare-buffers.ts';

test('a buffer of the same size and type is used again, as zeros', () => {
  const spare = new SpareBuffers();
  const first = spare.take('f32', 1000);
  first.fill(NaN);
  spare.give(first);
  expect(spare.take('f32', 500)).not.toBe(first);
  const second = spare.take('f32', 1000);
  expect(second).toBe(first);
  expect(second.every((x) => x === 0)).toBe(true);
  expect(spare.take('f32', 1000)).not.toBe(first);
});

test.skipIf(typeof Float16Array === 'undefined')('half precision and single do not mix', () => {
  const spare = new SpareBuffers();
  const single = spare.take('f32', 8);
  spare.give(single);
  expect(spare.take('f16', 8)).toBeInstanceOf(Float16Array);
  expect(spare.take('f32', 8)).toBe(single);
});

test('no more than 64 MiB are kept; what came first goes first', () => {
  const spare = new SpareBuffers();
  const given = [1, 2, 3].map((n) => spare.take('f32', n + 7 * 2 ** 20));
  for (const buffer of given) spare.give(buffer);
  const again = [1, 2, 3].map((n) => spare.take('f32', n + 7 * 2 ** 20) === given[n - 1]);
  expect(again).toEqual([false, true, true]);
});

test.skipIf(!('transfer' in ArrayBuffer.prototype))(
  'discarding frees a buffer at once, but not one that other views share',
  () => {
    const own = new Float32Array(4);
    discard(own);
    expect(own.length).toBe(0);
    const shared = new Float32Array(new ArrayBuffer(32), 0, 4);
    discard(shared);
    expect(shared.length).toBe(4);
  },
);
