import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Loss } from './loss.ts';

test('what is under way fails with the reason, and so does what comes later', async () => {
  const loss = new Loss();
  const under = loss.before(new Promise(() => undefined));
  expect(await loss.before(Promise.resolve(7))).toBe(7);
  await expect(loss.before(Promise.reject(new Error('its own')))).rejects.toThrow('its own');
  loss.happened(new Error('gone'));
  loss.happened(new Error('gone again'));
  await expect(under).rejects.toThrow(/^gone$/);
  await expect(loss.before(Promise.resolve(8))).rejects.toThrow(/^gone$/);
});

test('results are not kept for as long as nothing is lost', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const loss = new Loss();
  const results: WeakRef<Float32Array>[] = [];
  for (let i = 0; i < 50; i++)
    results.push(new WeakRef(await loss.before(Promise.resolve(new Float32Array(1000)))));
  await turn();
  gc();
  // The newest may still lie in a register or on the stack.
  expect(results.filter((one) => one.deref()).length).toBeLessThan(5);
  loss.happened(new Error('gone'));
});
