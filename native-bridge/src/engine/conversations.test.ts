// Which cache a request gets while others are at work.
import type { LocalModel } from '@baton/runtime';
import { openLocal } from '@baton/runtime/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Conversations } from './conversations.ts';

let model: LocalModel;
beforeAll(async () => {
  model = await openLocal('demo-small', { target: 'ort-cpu' });
});
afterAll(async () => {
  await model?.close();
});

const LIMITS = { bytes: 2 ** 30, count: 4 };
const idsOf = (text: string): readonly number[] => model.tokenizer.encode(text);
const TEXT =
  'Tom has 23 boxes with 47 apples each and wants to know how many apples that makes in all. '.repeat(3);

/** Whether `work` is still under way after everything that can be done at once was done. */
async function waits(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  void work.then(
    () => (done = true),
    () => (done = true),
  );
  await new Promise((resolve) => setTimeout(resolve, 30));
  return !done;
}

test('a hand-off waits for the keep-warm request that fills its cache, and goes on from there', async () => {
  const pool = new Conversations(model, LIMITS);
  const warm = await pool.take(idsOf(TEXT), { brief: true });
  const handOff = pool.take(idsOf(`${TEXT} First,`));
  expect(await waits(handOff)).toBe(true);
  await warm.syncTokens(idsOf(TEXT));
  await pool.giveBack(warm);
  const session = await handOff;
  expect(session).toBe(warm);
  expect((await session.syncTokens(idsOf(`${TEXT} First,`))).kept).toBeGreaterThan(idsOf(TEXT).length - 6);
  expect(pool.usage.conversations).toBe(1);
  await pool.close();
});

test('one that was withdrawn or broke sets the hand-off free', async () => {
  const pool = new Conversations(model, LIMITS);
  const warm = await pool.take(idsOf(TEXT), { brief: true });
  const handOff = pool.take(idsOf(`${TEXT} First,`));
  await pool.giveBack(warm, true);
  expect(await handOff).not.toBe(warm);
  await pool.close();
});

test('nobody waits for another text, for a few tokens, or for a request that writes', async () => {
  const pool = new Conversations(model, LIMITS);
  await pool.take(idsOf(TEXT), { brief: true });
  expect(await waits(pool.take(idsOf(`Mia ${TEXT}`)))).toBe(false);
  await pool.take(idsOf('Now'), { brief: true });
  expect(await waits(pool.take(idsOf('Now, 5')))).toBe(false);
  await pool.close();
  const writing = new Conversations(model, LIMITS);
  await writing.take(idsOf(TEXT));
  expect(await waits(writing.take(idsOf(`${TEXT} First,`)))).toBe(false);
  await writing.close();
});

test('a client that leaves while it waits is let go', async () => {
  const pool = new Conversations(model, LIMITS);
  const warm = await pool.take(idsOf(TEXT), { brief: true });
  const control = new AbortController();
  const handOff = pool.take(idsOf(`${TEXT} First,`), { signal: control.signal });
  control.abort();
  await expect(handOff).rejects.toThrow('the run was cancelled');
  await pool.giveBack(warm);
  await pool.close();
});
