// When a compute thread fails, the pass fails with its reason, the other threads stop, and nothing hangs.
import { expect, it } from 'vitest';
import { randomNetwork } from '../../../bench/random-network.ts';
import { Heap } from './heap.ts';
import { loadKernelModule } from './kernels.ts';
import { loadPlan } from './load.ts';
import { cacheLayout, type Plan } from './plan.ts';
import { inlinePool, startThreads } from './pool.ts';

const SHAPE = {
  name: 'small',
  hidden: 64,
  layers: 1,
  heads: 2,
  keyValueHeads: 1,
  headWidth: 16,
  feedForward: 64,
  vocabulary: 4000,
  biases: false,
};
const PASS = { threads: 1, tokens: 0, position: 0, logitsFrom: 0, logitsCount: 1, summarise: 0, read: 0 };

async function working(shared: boolean): Promise<{ module: WebAssembly.Module; heap: Heap; plan: Plan }> {
  const heap = new Heap(shared);
  const { network, weights } = randomNetwork(SHAPE, 'int8', 16);
  const { plan } = await loadPlan(heap, network, weights, {
    threads: 3,
    maxRows: 4,
    logitRows: 4,
    capacity: 16,
    int4: 'int4Plain',
    activationBits: 8,
  });
  return { module: await loadKernelModule('relaxed', shared), heap, plan };
}

/** Weights that lie outside the memory: every thread that takes a piece traps. */
async function broken(shared: boolean): Promise<{ module: WebAssembly.Module; heap: Heap; plan: Plan }> {
  const { plan, ...rest } = await working(shared);
  return { ...rest, plan: { ...plan, head: { ...plan.head, address: 2 ** 31 } } };
}

it('what waits for the event loop gets its turn between passes on the own thread', async () => {
  const { module, heap, plan } = await working(false);
  const pool = inlinePool(module, heap.memory, plan);
  let turned = false;
  setImmediate(() => (turned = true));
  await pool.run({ ...PASS, cache: cacheLayout(plan, heap.allocate(1 << 16), 16) });
  expect(turned).toBe(true);
});

it('a trap in workers rejects the pass, and every later one', async () => {
  const { module, heap, plan } = await broken(true);
  const pool = startThreads(heap.memory, 3).serve(module, plan);
  const pass = { ...PASS, threads: 3, cache: cacheLayout(plan, 0, 16) };
  await expect(pool.run(pass)).rejects.toThrow('out of bounds');
  await expect(pool.run(pass)).rejects.toThrow('out of bounds');
  await pool.close();
});

it('passes shared by all and passes of one thread take turns', async () => {
  const { module, heap, plan } = await working(true);
  const pool = startThreads(heap.memory, 3).serve(module, plan);
  const cache = cacheLayout(plan, heap.allocate(1 << 16), 16);
  for (let i = 0; i < 200; i++) await pool.run({ ...PASS, threads: i % 3 === 0 ? 3 : 1, cache });
  await pool.close();
});

it('a trap in a pass of one thread rejects it', async () => {
  const { module, heap, plan } = await broken(true);
  const pool = startThreads(heap.memory, 3).serve(module, plan);
  await expect(pool.run({ ...PASS, cache: cacheLayout(plan, 0, 16) })).rejects.toThrow('out of bounds');
  await pool.close();
});

it('a trap in the own thread rejects the pass', async () => {
  const { module, heap, plan } = await broken(false);
  const pool = inlinePool(module, heap.memory, plan);
  await expect(pool.run({ ...PASS, cache: cacheLayout(plan, 0, 16) })).rejects.toThrow('out of bounds');
});

it('a pass after close is refused, and closing twice is fine', async () => {
  const { module, heap, plan } = await broken(true);
  const pool = startThreads(heap.memory, 2).serve(module, plan);
  await pool.close();
  await pool.close();
  await expect(pool.run({ ...PASS, cache: cacheLayout(plan, 0, 16) })).rejects.toThrow('closed');
});
