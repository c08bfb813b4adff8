// Prompts that do not fit: refused before they cost others anything.
import type { LocalModel } from '@baton/runtime';
import { openLocal } from '@baton/runtime/node';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { ApiError } from '../api-error.ts';
import { only, syncEvents } from '../api/sessions.ts';
import { ModelEngine } from './model-engine.ts';

let model: LocalModel;
let engine: ModelEngine;
let capacity: number;
let id: string;
beforeAll(async () => {
  model = await openLocal('demo-small', { target: 'ort-cpu' });
  engine = new ModelEngine(model, { bytes: 2 ** 30, count: 4 }, null);
  capacity = engine.info.contextLength!;
  id = await engine.stepwise.sessions.open();
});
afterAll(async () => {
  await engine?.close();
});
beforeEach(() => {
  vi.spyOn(model.tokenizer, 'encode');
});
afterEach(() => vi.restoreAllMocks());

const read = async (text: string): Promise<void> => {
  for await (const _ of engine.generate({ text }, { maxTokens: 0 }));
};
const ways: [string, (text: string) => Promise<unknown>][] = [
  ['completion', read],
  ['scoring', (text) => engine.score({ text }, 0)],
  ['a session', (text) => only(syncEvents(engine.stepwise, id, { text }, new AbortController().signal))],
  ['tokenizing', async (text) => engine.stepwise.encode(text)],
];
const tooLong = (words: string): unknown =>
  expect.objectContaining({
    status: 400,
    message: expect.stringContaining(words),
    details: { code: 'context_length_exceeded' },
  });

test.each(ways)('one that surely does not fit is not tokenised: %s', async (_name, way) => {
  for (const text of ['a', ' ', 'candles left ']) {
    await expect(way(text.repeat(300_000))).rejects.toEqual(
      tooLong(`or more tokens and the model’s context`),
    );
  }
  expect(model.tokenizer.encode).not.toHaveBeenCalled();
});

test('one that is only too long once tokenised is refused with its tokens, and takes no cache', async () => {
  await expect(read('a'.repeat(capacity + 1))).rejects.toEqual(tooLong(`has ${capacity + 1} tokens`));
  const ids = model.tokenizer.encode('a'.repeat(capacity + 1));
  const byIds = engine.generate({ ids }, { maxTokens: 0 });
  await expect(byIds.next()).rejects.toBeInstanceOf(ApiError);
  expect(engine.info.caches().conversations).toBe(1);
});

test('one that fits to the last token is read', async () => {
  await read('a'.repeat(capacity));
  await read('<|assistant|>'.repeat(capacity));
});
