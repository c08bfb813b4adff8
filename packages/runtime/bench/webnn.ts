// Where the cache lies best on WebNN: `node packages/runtime/bench/webnn.ts [--target webnn-cpu] [--shape 100m] [--rounds 6]
// [--models FOLDER] [--out FILE]` times decode steps in Chromium with graphs that return new rows to a cache on the host,
// and with graphs that return the whole cache to the host or keep it in MLTensors; turns of four steps each, one page a way.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright';
import type { Backend, Sequence } from '../src/backend.ts';
import { openTestBrowser } from '../test/browser/harness.ts';
import { preparedModel } from './prepared.ts';
import { shapeNamed } from './shapes.ts';
import { timing, type Timing } from './statistics.ts';

export interface WebNnFigures {
  schema: 'baton.bench.webnn/1';
  target: string;
  shape: string;
  browser: string;
  ways: { name: string; decode?: Timing; failed?: string }[];
}

const WAYS = [
  { name: 'new rows, cache on the host', cacheUpdate: 'rows', hostCache: true },
  { name: 'whole cache, on the host', cacheUpdate: 'whole', hostCache: true },
  { name: 'whole cache, in MLTensors', cacheUpdate: 'whole', hostCache: false },
] as const;
const STEPS = 4;
const CONTEXT = 128;

declare global {
  interface Window {
    bench: { backend: Backend; sequence: Sequence };
  }
}

const { values } = parseArgs({
  options: {
    target: { type: 'string', default: 'webnn-cpu' },
    shape: { type: 'string', default: '100m' },
    rounds: { type: 'string', default: '6' },
    models: { type: 'string' },
    out: { type: 'string' },
  },
});
const shape = shapeNamed(values.shape);
const target = values.target as 'webnn-cpu' | 'webnn-gpu' | 'webnn-npu';
const folder = values.models ?? (await mkdtemp(path.join(os.tmpdir(), 'baton-webnn-')));
const result: WebNnFigures = {
  schema: 'baton.bench.webnn/1',
  target,
  shape: shape.name,
  browser: '',
  ways: [],
};
try {
  for (const cacheUpdate of ['rows', 'whole'] as const)
    await preparedModel(folder, shape, { weights: 'f32', cacheUpdate });
  const browser = await openTestBrowser({
    page: fileURLToPath(new URL('../test/browser/page', import.meta.url)),
    serve: { '/models/': folder },
  });
  try {
    result.browser = `Chromium ${browser.page.context().browser()?.version() ?? ''}`;
    const open: { name: string; page: Page; samples: number[] }[] = [];
    for (const { name, cacheUpdate, hostCache } of WAYS) {
      console.error(`opening: ${name}`);
      const page = await browser.newPage();
      page.setDefaultTimeout(0);
      const at = `/models/${shape.name}-f32-${cacheUpdate}/`;
      const failed = await page.evaluate(
        async ({ target, at, hostCache, context }) => {
          const { openOrtWeb, urlFiles, parseManifest } = window.inside;
          try {
            const files = urlFiles(new URL(at, location.href).href);
            const manifest = parseManifest(new TextDecoder().decode(await files.read('baton.json')));
            const backend = await openOrtWeb(target, manifest, files, { hostCache });
            const sequence = await backend.createSequence();
            for (let from = 0; from < context; from += backend.maxRows) {
              const tokens = Array.from({ length: backend.maxRows }, (_, i) => (from + i) * 7);
              await sequence.forward(tokens, from, 'none');
            }
            window.bench = { backend, sequence };
            return null;
          } catch (error) {
            return String(error).split('\n')[0]!;
          }
        },
        { target, at, hostCache, context: CONTEXT },
      );
      if (failed === null) open.push({ name, page, samples: [] });
      else result.ways.push({ name, failed });
    }
    for (let round = -1; round < Number(values.rounds); round++) {
      for (const { page, samples } of open) {
        const times = await page.evaluate(
          async ({ steps, context }) => {
            const times: number[] = [];
            for (let i = 0; i < steps; i++) {
              const start = performance.now();
              await window.bench.sequence.forward([5 + i], context + i, 'last');
              times.push(performance.now() - start);
            }
            return times;
          },
          { steps: STEPS, context: CONTEXT },
        );
        // The first turn warms up.
        if (round >= 0) samples.push(...times);
      }
    }
    for (const { name, samples } of open) result.ways.push({ name, decode: timing(samples) });
  } finally {
    await browser.close();
  }
} finally {
  if (!values.models) await rm(folder, { recursive: true, force: true });
}
const text = JSON.stringify(result, null, 2);
if (values.out) await writeFile(values.out, `${text}\n`);
else console.log(text);
