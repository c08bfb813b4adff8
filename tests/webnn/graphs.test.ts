// Every graph of every family in real Chromium: the portable lowering must be taken whole by WebNN (no node on another
// provider) and compute what ONNX Runtime's own kernels compute.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { CompileOptions, Manifest } from '@baton/compiler';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture, fixtureNames } from '../../packages/compiler/test/fixtures.ts';
import { openTestBrowser, type TestBrowser } from '../../packages/runtime/test/browser/harness.ts';

const FORMS: readonly [name: string, options: CompileOptions][] = [
  ['f16', { weights: 'f16' }],
  ['int8', { weights: 'int8' }],
  ['int4', { weights: 'int4' }],
  ['int8-channel', { weights: 'int8', group: 'channel' }],
  ['int4-channel', { weights: 'int4', group: 'channel' }],
  ['f16-boundary', { boundary: 'f16' }],
  ['whole-cache', { cacheUpdate: 'whole' }],
  ['whole-f16', { cacheUpdate: 'whole', boundary: 'f16' }],
  ['epsilon-int4', { weights: 'int4', epsilonFloor: 5e-5, keep: { '.down': 'int8', '.query': 'f32' } }],
];

const manifests = new Map<string, Manifest>();
let folder: string;
let browser: TestBrowser;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-webnn-'));
  for (const name of fixtureNames()) {
    const out = path.join(folder, name);
    const { manifest } = await compileDirectory(fixture(name).directory, out, { context: 32, chunk: 8 });
    manifests.set(name, manifest);
  }
  const fused = { context: 32, chunk: 8, weights: 'int4', lowering: 'fused' } as const;
  manifests.set(
    'fused',
    (await compileDirectory(fixture('qwen2').directory, path.join(folder, 'fused'), fused)).manifest,
  );
  for (const [name, options] of FORMS) {
    const out = path.join(folder, name);
    const all = { context: 32, chunk: 8, ...options };
    manifests.set(name, (await compileDirectory(fixture('qwen2').directory, out, all)).manifest);
  }
  browser = await openTestBrowser({
    page: path.join(import.meta.dirname, 'page'),
    serve: { '/models/': folder },
  });
});

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

async function compareAll(name: string, page = browser.page): Promise<void> {
  const { graphs, weightsFile } = manifests.get(name)!;
  expect(graphs.map((g) => g.role)).toEqual(['prefill', 'decode', 'head', 'columns', 'head', 'columns']);
  for (const graph of graphs) {
    const error = await page.evaluate(
      async ({ name, weightsFile, graph }) => window.compareGraph(`/models/${name}/`, weightsFile, graph),
      { name, weightsFile, graph },
    );
    expect(error, graph.file).toBeLessThan(1e-4);
  }
}

it('notices a graph that is not taken whole', async () => {
  // A session that could not be made leaves ONNX Runtime unusable in its page.
  const page = await browser.newPage();
  await expect(compareAll('fused', page)).rejects.toThrow(/fallback to CPU EP has been explicitly disabled/);
  await page.close();
});

describe.each(FORMS.map(([name]) => name))('%s', (name) => {
  it('runs whole on WebNN', { timeout: 240_000 }, () => compareAll(name));
});

describe.each(fixtureNames())('%s', (name) => {
  it('runs whole on WebNN', { timeout: 240_000 }, () => compareAll(name));
});
