// Single kernels on one thread, without decoder and threads: `node packages/runtime/bench/kernels.ts [--rounds 30]`. The
// matrices of the 100m shape one after the other, and attention over all its layers at three context lengths; this is
// what changes to the kernels were judged by.
import { parseArgs } from 'node:util';
import { Heap } from '../src/targets/wasm-simd/heap.ts';
import type { KernelSet, QuantisedProduct } from '../src/targets/wasm-simd/kernels.ts';
import { instantiateKernels, loadKernelModule } from '../src/targets/wasm-simd/kernels.ts';
import { cacheLayout, keyLimit, scoreSlots } from '../src/targets/wasm-simd/plan.ts';
import { graphWeights, SHAPES } from './shapes.ts';
import { timing } from './statistics.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '30' } } });
const shape = SHAPES['100m'];
const weights = graphWeights(shape);
const { keyValueHeads, headWidth, heads, layers } = shape;
const SLOTS = 1024;
const BLOCKS = 24; // 768 inputs
const ROWS = Math.floor(weights / (BLOCKS * 32 * 8)) * 8;

for (const set of ['relaxed', 'plain'] as const satisfies KernelSet[]) {
  const heap = new Heap(true);
  const kernels = instantiateKernels(await loadKernelModule(set, true), heap.memory);
  const w = heap.allocate((ROWS / 8) * BLOCKS * 272);
  const activations = heap.allocate(BLOCKS * 128);
  const meta = heap.allocate(BLOCKS * 8);
  const out = heap.allocate(ROWS * 4);
  const layout = cacheLayout({ keyValueHeads, headWidth }, 0, SLOTS);
  const cache = heap.allocate(layout.layerBytes * layers);
  const query = heap.allocate(heads * headWidth * 4);
  const attended = heap.allocate(heads * headWidth * 4);
  const scratch = heap.allocate(3 * (2 * headWidth + 4 * scoreSlots(SLOTS)));
  // Every page is written, or the reads would all hit the one page of zeros that untouched memory shares.
  const words = new Uint32Array(heap.memory.buffer, w, ((ROWS / 8) * BLOCKS * 272) / 4);
  for (let i = 0; i < words.length; i++) words[i] = i * 2654435761;
  new Uint8Array(heap.memory.buffer, cache, layout.layerBytes * layers).fill(37);
  // Scales of cache rows must be ordinary numbers, or subnormals would be timed.
  for (let layer = 0; layer < layers; layer++) {
    for (const scales of [layout.keyScales, layout.valueScales]) {
      heap.floats(cache + layer * layout.layerBytes + scales, keyValueHeads * SLOTS).fill(1e-4);
    }
  }
  heap.floats(query, heads * headWidth).forEach((_, i, q) => (q[i] = Math.sin(i)));

  const jobs: [string, () => void][] = [];
  const product = (name: string, kernel: QuantisedProduct | undefined): void => {
    if (kernel)
      jobs.push([name, () => kernel(w, ROWS / 8, BLOCKS, activations, 0, meta, 0, out, 0, 0, 0, 1, 0)]);
  };
  product('int4Pairs', kernels.int4Pairs);
  product('int4Dot', kernels.int4Dot);
  product('int4Plain', kernels.int4Plain);
  product('int8Product', kernels.int8Product);
  jobs.push([
    'read int4',
    () => kernels.readAll(w, Math.floor(((ROWS / 8) * BLOCKS * 144) / 64) * 64, scratch),
  ]);
  jobs.push([
    'read int8',
    () => kernels.readAll(w, Math.floor(((ROWS / 8) * BLOCKS * 272) / 64) * 64, scratch),
  ]);
  const group = heads / keyValueHeads;
  for (const context of [128, 512, 1000]) {
    jobs.push([
      `attend ${context}`,
      () => {
        for (let layer = 0; layer < layers; layer++) {
          const base = cache + layer * layout.layerBytes;
          for (let h = 0; h < keyValueHeads; h++) {
            const at = h * group * headWidth * 4;
            kernels.attend(
              query + at,
              group,
              headWidth * 4,
              headWidth,
              base + h * layout.keyHeadBytes,
              base + layout.keyScales + h * SLOTS * 4,
              base + layout.values + h * layout.valueHeadBytes,
              base + layout.valueScales + h * SLOTS * 4,
              0,
              context,
              headWidth ** -0.5,
              0,
              keyLimit(headWidth),
              scratch,
              scoreSlots(SLOTS),
              attended + at,
            );
          }
        }
      },
    ]);
  }
  const samples = new Map<string, number[]>(jobs.map(([name]) => [name, []]));
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, job] of jobs) {
      const start = performance.now();
      job();
      samples.get(name)!.push(performance.now() - start);
    }
  }
  for (const [name, times] of samples) console.log(JSON.stringify({ set, kernel: name, ...timing(times) }));
}
