// How long a stored model takes to open, tokenizer and checks included, and to write its first token: `node packages/runtime/bench/load.ts [--shape 100m]
// [--weights int4] [--rounds 5] [--models FOLDER] [--out FILE]`. In Node from the store on disk in a fresh process, in
// Chromium from its private file system through a worker of its own; both after a first opening, which downloads the model
// and makes the self-test that is remembered.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import type { WeightType } from '@baton/compiler';
import type { TargetId } from '../src/backend.ts';
import { openTestBrowser, type TestBrowser } from '../test/browser/harness.ts';
import { preparedModel } from './prepared.ts';
import { shapeNamed } from './shapes.ts';
import { timing, type Timing } from './statistics.ts';

export interface LoadFigures {
  schema: 'baton.bench.load/1';
  shape: string;
  weights: WeightType;
  browser: string;
  rows: {
    place: 'node' | 'browser';
    target: TargetId;
    load: Timing;
    /** Absent in files of before it was measured. */
    firstToken?: Timing;
    processor?: Timing;
  }[];
}

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: '100m' },
    weights: { type: 'string', default: 'int4' },
    rounds: { type: 'string', default: '5' },
    models: { type: 'string' },
    out: { type: 'string' },
  },
});
const shape = shapeNamed(values.shape);
const weights = values.weights as WeightType;
const rounds = Number(values.rounds);
const folder = await mkdtemp(path.join(os.tmpdir(), 'baton-load-'));
let browser: TestBrowser | null = null;
try {
  const model = await preparedModel(values.models ?? folder, shape, { weights });
  browser = await openTestBrowser({
    page: fileURLToPath(new URL('../test/browser/page', import.meta.url)),
    serve: { '/model/': model },
    profile: path.join(folder, 'profile'),
  });
  const url = `${browser.origin}/model/`;
  const inNode = nodeLoads(url, path.join(folder, 'cache'));
  const inBrowser = browserLoads(browser, url);
  const cases: { place: 'node' | 'browser'; target: TargetId; load: () => Promise<Load> }[] = [
    { place: 'node', target: 'wasm-simd', load: () => inNode('wasm-simd') },
    { place: 'node', target: 'ort-cpu', load: () => inNode('ort-cpu') },
    { place: 'browser', target: 'wasm-simd', load: () => inBrowser('wasm-simd') },
  ];
  const samples: Load[][] = cases.map(() => []);
  for (const { place, target, load } of cases) {
    console.error(`first opening on ${target} in ${place}`);
    await load();
  }
  for (let round = 0; round < rounds; round++)
    for (const [i, { load }] of cases.entries()) samples[i]!.push(await load());
  const result: LoadFigures = {
    schema: 'baton.bench.load/1',
    shape: shape.name,
    weights,
    browser: await browser.page.evaluate(() => /Chrome\/[\d.]+/.exec(navigator.userAgent)?.[0] ?? ''),
    rows: cases.map(({ place, target }, i) => {
      const processor = samples[i]!.flatMap(({ processorMs }) => processorMs ?? []);
      return {
        place,
        target,
        load: timing(samples[i]!.map(({ loadMs }) => loadMs)),
        firstToken: timing(samples[i]!.map(({ firstTokenMs }) => firstTokenMs)),
        ...(processor.length > 0 ? { processor: timing(processor) } : {}),
      };
    }),
  };
  const text = JSON.stringify(result, null, 2);
  if (values.out) await writeFile(values.out, `${text}\n`);
  else console.log(text);
} finally {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
}

interface Load {
  loadMs: number;
  /** From the start too; the prompt is one token. */
  firstTokenMs: number;
  /** Of all of the process's threads; on a busy machine the better figure to compare by. */
  processorMs?: number;
}

function nodeLoads(url: string, cache: string): (target: TargetId) => Promise<Load> {
  const script = fileURLToPath(new URL('./load-stored.ts', import.meta.url));
  return async (target) => {
    const { stdout } = await promisify(execFile)(process.execPath, [script, url, target], {
      env: { ...process.env, BATON_CACHE: cache },
    });
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Load;
  };
}

function browserLoads(browser: TestBrowser, url: string): (target: TargetId) => Promise<Load> {
  return async (target) => {
    const page = await browser.newPage();
    try {
      return await page.evaluate(
        async ({ url, target }) => {
          const store = window.baton.opfsStore();
          const stored = async () => (await store.list()).find((m) => m.complete);
          if (!(await stored()))
            await (await window.baton.openWorkerModel({ kind: 'compiled', url }, { target })).close();
          const { name } = (await stored())!;
          const start = performance.now();
          const model = await window.baton.openWorkerModel({ kind: 'stored', name }, { target });
          const loadMs = performance.now() - start;
          for await (const _ of model.generate('a', { maxTokens: 1 }));
          const firstTokenMs = performance.now() - start;
          await model.close();
          return { loadMs, firstTokenMs };
        },
        { url, target },
      );
    } finally {
      await page.close();
    }
  };
}
