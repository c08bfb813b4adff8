// The browser benchmark: `node packages/runtime/bench/browser/run.ts [--weights int4,int8,f32] [--threads 2] [--rounds 8]
// [--context 128,512,1000] [--shape 100m]` prints JSON: wasm-simd in headless Chromium, on a cross-origin isolated page
// (threads) and on one that is not (one thread), with relaxed and with plain SIMD.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openTestBrowser } from '../../test/browser/harness.ts';
import type { WeightKind } from '../random-network.ts';
import { shapeNamed } from '../shapes.ts';
import type { BrowserBench, PageJob } from './job.ts';

const { values } = parseArgs({
  options: {
    weights: { type: 'string', default: 'int4,int8,f32' },
    context: { type: 'string', default: '128,512,1000' },
    rounds: { type: 'string', default: '8' },
    threads: { type: 'string' },
    shape: { type: 'string', default: '100m' },
  },
});
const job = {
  shape: shapeNamed(values.shape).name,
  contexts: values.context.split(',').map(Number),
  rounds: Number(values.rounds),
  ...(values.threads === undefined ? {} : { threads: Number(values.threads) }),
};

const figures: BrowserBench['figures'] = [];
let version = '';
for (const isolated of [true, false]) {
  const browser = await openTestBrowser({ page: fileURLToPath(new URL('.', import.meta.url)), isolated });
  try {
    version = browser.page.context().browser()?.version() ?? '';
    for (const weights of values.weights.split(',') as WeightKind[]) {
      for (const kernels of ['relaxed', 'plain'] as const) {
        const asked: PageJob = { ...job, weights, kernels };
        figures.push({
          ...asked,
          figures: await browser.page.evaluate((asked) => window.measure(asked), asked),
        });
      }
    }
  } finally {
    await browser.close();
  }
}
console.log(
  JSON.stringify({ schema: 'baton.bench.browser/1', browser: `Chromium ${version}`, figures }, null, 2),
);
