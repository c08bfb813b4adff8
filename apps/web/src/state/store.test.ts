// Listeners hear of a change together where they are quick, and in tasks of their own where they are not.
import { expect, it } from 'vitest';
import { Store } from './store.ts';

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

function busy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

it('lets other tasks run between listeners that take long, and none between quick ones', async () => {
  const order: string[] = [];
  const store = new Store({ n: 0 });
  for (const name of ['a', 'b', 'c'])
    store.subscribe(() => {
      // A task that was waiting already.
      setTimeout(() => order.push('task'));
      busy(10);
      order.push(name);
    });
  store.patch({ n: 1 });
  await expect.poll(() => order.filter((name) => name !== 'task')).toEqual(['a', 'b', 'c']);
  expect(order.slice(0, 4)).toEqual(['a', 'task', 'b', 'task']);

  const quick: string[] = [];
  const other = new Store({ n: 0 });
  for (const name of ['a', 'b', 'c'])
    other.subscribe(() => {
      setTimeout(() => quick.push('task'));
      quick.push(name);
    });
  other.patch({ n: 1 });
  await expect.poll(() => quick.length).toBe(6);
  expect(quick.slice(0, 3)).toEqual(['a', 'b', 'c']);
});

it('tells the last value once more when it changes meanwhile, whatever a listener throws', async () => {
  const store = new Store({ n: 0 });
  const seen: number[] = [];
  const reported: unknown[] = [];
  globalThis.reportError = (error) => void reported.push(error);
  store.subscribe(async () => {
    await pause(80);
    throw new Error('it cannot draw');
  });
  store.subscribe(() => void seen.push(store.value.n));
  store.patch({ n: 1 });
  await pause(70);
  store.patch({ n: 2 });
  store.patch({ n: 3 });
  await expect.poll(() => seen.at(-1)).toBe(3);
  expect(seen.length).toBeLessThanOrEqual(2);
  expect(String(reported[0])).toBe('Error: it cannot draw');
});
