// Measures wasm-simd on random weights of a shape, in a worker of the page.
import { WasmSimdBackend } from '../../src/targets/wasm-simd/backend.ts';
import { measure } from '../measure.ts';
import { randomNetwork } from '../random-network.ts';
import { SHAPES } from '../shapes.ts';
import type { PageFigures, PageJob } from './job.ts';

async function run({
  shape,
  weights: kind,
  contexts,
  rounds,
  threads,
  kernels,
}: PageJob): Promise<PageFigures> {
  const positions = Math.max(...contexts) + 16;
  const made = randomNetwork(SHAPES[shape], kind, positions);
  // Made before the clock starts: what is timed is the target's work, not the random numbers.
  const layers = await Promise.all(made.network.layers.map((_, i) => made.weights.layer(i)));
  const [finalNorm, head] = await Promise.all([made.weights.finalNorm(), made.weights.head()]);
  const weights = {
    ...made.weights,
    layer: async (i: number) => layers[i]!,
    finalNorm: async () => finalNorm,
    head: async () => head,
  };
  const start = performance.now();
  const backend = await WasmSimdBackend.create(made.network, weights, {
    capacities: [positions],
    ...(threads === undefined ? {} : { threads }),
    ...(kernels === undefined ? {} : { kernels }),
  });
  const loadMs = performance.now() - start;
  const speeds = (await measure([{ name: 'page', backend }], { contexts, rounds })).get('page')!;
  const { description, weightBytes } = backend;
  await backend.close();
  return {
    ...speeds,
    description,
    threads: backend.threads,
    isolated: globalThis.crossOriginIsolated,
    loadMs,
    weightBytes,
  };
}

globalThis.addEventListener('message', (event: MessageEvent<PageJob>) => {
  run(event.data).then(
    (figures) => globalThis.postMessage(figures),
    (error: unknown) => globalThis.postMessage({ error: String(error) }),
  );
});
