// A stream of events whose reader goes, or stays and does not read.
import { expect, test, vi } from 'vitest';
import { eventStream } from './event-stream.ts';

async function* numbers(ended: () => void): AsyncGenerator<object> {
  try {
    for (let n = 0; ; n++) yield { n };
  } finally {
    ended();
  }
}

test('a reader that leaves stops the source', async () => {
  const [ended, stop] = [vi.fn(), vi.fn()];
  const reader = eventStream(numbers(ended), stop, () => undefined).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: {"n":0}\n\n');
  await reader.cancel();
  expect([stop.mock.calls.length, ended.mock.calls.length]).toEqual([1, 1]);
});

test('a reader that leaves while the next event is awaited is no failure', async () => {
  const [asked, heard] = [vi.fn(), vi.fn()];
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<object> {
    yield { n: 0 };
    asked();
    await promise;
    yield { n: 1 };
  }
  const reader = eventStream(slow(), resolve, heard).getReader();
  await reader.read();
  void reader.read();
  await expect.poll(() => asked.mock.calls.length).toBe(1);
  await reader.cancel();
  expect(heard).not.toHaveBeenCalled();
});

test('a reader that does not read for too long loses its place', async () => {
  const [ended, stop] = [vi.fn(), vi.fn()];
  const reader = eventStream(numbers(ended), stop, () => undefined, 20).getReader();
  await reader.read();
  await expect.poll(() => ended.mock.calls.length).toBe(1);
  expect(stop).toHaveBeenCalledTimes(1);
  await expect(reader.read()).rejects.toThrow(/does not read/);
});

test('a reader that keeps reading is never cut, however long it goes on', async () => {
  const ended = vi.fn();
  const reader = eventStream(
    numbers(ended),
    () => undefined,
    () => undefined,
    60,
  ).getReader();
  for (let n = 0; n < 8; n++) {
    await new Promise((resolve) => setTimeout(resolve, 15));
    await reader.read();
  }
  expect(ended).not.toHaveBeenCalled();
  await reader.cancel();
});

test('a failure half-way is an event of its own and the end', async () => {
  const heard = vi.fn();
  async function* failing(): AsyncGenerator<object> {
    yield { n: 0 };
    throw new Error('secret');
  }
  const text = await new Response(eventStream(failing(), () => undefined, heard)).text();
  expect(text).toMatch(/^data: \{"n":0\}\n\ndata: \{"error":\{.*"type":"server_error".*\}\}\n\n$/);
  expect(text).not.toContain('secret');
  expect(heard).toHaveBeenCalledTimes(1);
});
