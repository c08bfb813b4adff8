// WebNN with the cache in tensors of its context: graphs that return their whole cache, steps that hand it on. Text, growth
// and sliding are those of Node's ort-cpu on the same graphs.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeTargets } from '../../src/node/index.ts';
import { openModel } from '../../src/open-model.ts';
import { openTestBrowser, type TestBrowser } from './harness.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
let folder: string;
let browser: TestBrowser;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-model-'));
  await compileDirectory(path.join(here, '../fixtures/tiny'), path.join(folder, 'tiny'), {
    context: [32, 64],
    chunk: 16,
    cacheUpdate: 'whole',
  });
  browser = await openTestBrowser({
    page: path.join(here, 'page'),
    serve: { '/model/': path.join(folder, 'tiny') },
  });
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

const text = 'A baker makes 24 loaves.';
const sliding = { whenFull: 'slide' } as const;

test('webnn-cpu grows, slides and writes what Node writes, with the cache in tensors', async () => {
  const here = await openModel(new DirectoryFiles(path.join(folder, 'tiny')), {
    ...sliding,
    targets: nodeTargets(),
    target: 'ort-cpu',
  });
  const logitBias = Object.fromEntries(here.manifest.stopIds.map((id) => [id, -Infinity]));
  const options = { maxTokens: 80, sampling: { logitBias } };
  const expected: number[] = [];
  for await (const chunk of here.generate(text, options)) expected.push(...chunk.tokenIds);
  await here.close();
  const result = await browser.page.evaluate(
    async ({ text, options, sliding }) => {
      const url = new URL('/model/', location.href).href;
      const model = await window.baton.openWorkerModel(
        { kind: 'compiled', url },
        { ...sliding, target: 'webnn-cpu' },
      );
      try {
        const ids: number[] = [];
        for await (const chunk of model.generate(text, options)) ids.push(...chunk.tokenIds);
        return { ids, description: model.description };
      } finally {
        await model.close();
      }
    },
    { text, options, sliding },
  );
  expect(result.description).toMatch(/cache in MLTensors$/);
  expect(expected).toHaveLength(80);
  expect(result.ids).toEqual(expected);
}, 240_000);
