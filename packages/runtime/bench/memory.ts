// What a model costs in memory on each target, against the bytes of its weights:
// `node packages/runtime/bench/memory.ts [--shape 100m] [--only wasm-simd,webgpu] [--models FOLDER] [--out FILE]`.
// In Node a process of its own per target; in Chromium all of the browser's processes together, after less before, for
// WebNN and WebGPU keep weights in the GPU process. Measured when the model is open and has read and written some tokens. An
// emulated GPU takes the shape 20m and f32 weights: the 100m shape takes it more than ten minutes, 4-bit shaders at any size five.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import type { WeightType } from '@baton/compiler';
import type { TargetId } from '../src/backend.ts';
import { openTestBrowser } from '../test/browser/harness.ts';
import { isEmulated } from './emulated-gpu.ts';
import { preparedModel } from './prepared.ts';
import { familyBytes } from './process-memory.ts';
import { shapeNamed, SHAPES, type Shape } from './shapes.ts';

export interface MemoryFigures {
  schema: 'baton.bench.memory/1';
  shape: string;
  browser: string;
  rows: {
    place: 'node' | 'browser';
    target: TargetId;
    weights: WeightType;
    shape: string;
    /** Bytes of the compiled weights and of the embedding table. */
    weightBytes: number;
    embeddingBytes: number;
    /** More memory than before opening. */
    heldBytes: number;
    description: string;
  }[];
  failed: { target: TargetId; weights: WeightType; reason: string }[];
}

const CASES: { place: 'node' | 'browser'; target: TargetId; weights: WeightType }[] = [
  { place: 'node', target: 'wasm-simd', weights: 'int4' },
  { place: 'node', target: 'wasm-simd', weights: 'f32' },
  { place: 'node', target: 'ort-cpu', weights: 'int4' },
  { place: 'node', target: 'ort-cpu', weights: 'f32' },
  { place: 'browser', target: 'wasm-simd', weights: 'int4' },
  { place: 'browser', target: 'wasm-simd', weights: 'f32' },
  { place: 'browser', target: 'wasm', weights: 'f32' },
  { place: 'browser', target: 'webnn-cpu', weights: 'f32' },
  { place: 'browser', target: 'webgpu', weights: 'int4' },
  { place: 'browser', target: 'webgpu', weights: 'f32' },
];
const PAGE = fileURLToPath(new URL('../test/browser/page', import.meta.url));
/** Memory that was given back is not at once the system's. */
const SETTLE_MS = 3000;

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: '100m' },
    only: { type: 'string', default: '' },
    models: { type: 'string' },
    out: { type: 'string' },
  },
});
const asked: Shape = shapeNamed(values.shape);
const only = values.only.split(',').filter(Boolean);
const folder = values.models ?? (await mkdtemp(path.join(os.tmpdir(), 'baton-memory-')));
// With --only the other targets stay as they are in the file.
const before =
  values.out && only.length > 0
    ? (JSON.parse(await readFile(values.out, 'utf8')) as MemoryFigures)
    : { rows: [], failed: [] };
const result: MemoryFigures = {
  schema: 'baton.bench.memory/1',
  shape: asked.name,
  browser: '',
  rows: before.rows.filter(({ target }) => !only.includes(target)),
  failed: before.failed.filter(({ target }) => !only.includes(target)),
};
try {
  for (const { place, target, weights } of CASES) {
    if (only.length > 0 && !only.includes(target)) continue;
    const emulated = target === 'webgpu' && (await emulatedGpu());
    if (emulated && weights === 'int4') {
      result.failed.push({ target, weights, reason: `${emulated} emulates a GPU on the CPU` });
      continue;
    }
    const shape = emulated ? SHAPES['20m'] : asked;
    const model = await preparedModel(folder, shape, { weights });
    console.error(`${target} with ${weights} weights in ${place}`);
    try {
      const measured = await (place === 'node' ? inNode(model, target) : inBrowser(model, target));
      const size = async (file: string): Promise<number> => (await stat(path.join(model, file))).size;
      const [weightBytes, embeddingBytes] = [await size('weights.bin'), await size('embedding.bin')];
      result.rows.push({
        place,
        target,
        weights,
        shape: shape.name,
        weightBytes,
        embeddingBytes,
        ...measured,
      });
    } catch (error) {
      result.failed.push({ target, weights, reason: (error as Error).message.split('\n')[0]! });
    }
  }
} finally {
  if (!values.models) await rm(folder, { recursive: true, force: true });
}
const text = JSON.stringify(result, null, 2);
if (values.out) await writeFile(values.out, `${text}\n`);
else console.log(text);

/** The name of WebGPU's adapter where it is an emulated one. */
async function emulatedGpu(): Promise<string | null> {
  const browser = await openTestBrowser({ page: PAGE });
  try {
    const probes = await browser.page.evaluate(() => window.baton.probeTargets());
    const { reason } = probes.find(({ target }) => target === 'webgpu')!;
    return isEmulated(reason) ? reason : null;
  } finally {
    await browser.close();
  }
}

type Held = { heldBytes: number; description: string };

async function inNode(model: string, target: TargetId): Promise<Held> {
  const script = fileURLToPath(new URL('./memory-probe.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, model, target]);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Held;
}

async function inBrowser(model: string, target: TargetId): Promise<Held> {
  const browser = await openTestBrowser({
    page: PAGE,
    serve: { '/model/': model },
  });
  const held = async (): Promise<number> => {
    await sleep(SETTLE_MS);
    const bytes = await familyBytes(process.pid, { own: false });
    if (bytes === null) throw new Error('memory of processes is measured on Linux only');
    return bytes;
  };
  try {
    result.browser = `Chromium ${browser.page.context().browser()?.version() ?? ''}`;
    browser.page.setDefaultTimeout(0);
    // The store would keep a copy in memory: a page without a profile has its private file system there.
    const before = await held();
    const description = await browser.page.evaluate(async (target) => {
      const source = { kind: 'compiled', url: new URL('/model/', location.href).href, keep: false } as const;
      const model = await window.baton.openWorkerModel(source, { target, fallback: false });
      const session = await model.openSession();
      await session.sync('abcdefg '.repeat(9));
      for await (const _ of session.generate({ maxTokens: 3 }));
      return model.description;
    }, target);
    return { heldBytes: (await held()) - before, description };
  } finally {
    await browser.close();
  }
}
