// The model store in real Chromium: OPFS in a worker, a connection that breaks, a reload, no network, a full quota.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestBrowser, type TestBrowser } from './harness.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
let folder: string;
let browser: TestBrowser;
let intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-model-'));
  await compileDirectory(path.join(here, '../fixtures/tiny'), path.join(folder, 'tiny'), {
    context: 64,
    chunk: 16,
  });
  browser = await openTestBrowser({
    page: path.join(here, 'page'),
    serve: { '/model/': path.join(folder, 'tiny'), '/checkpoint/': path.join(here, '../fixtures/tiny') },
    intercept: (request, response) => intercept?.(request, response) ?? false,
  });
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

const open = (kind: 'compiled' | 'checkpoint', at: string): Promise<string> =>
  browser.page.evaluate(
    async ({ kind, at }) => {
      try {
        const source = {
          kind,
          url: new URL(at, location.href).href,
          ...(kind === 'checkpoint' ? { compile: { context: 64, chunk: 16 } } : {}),
        };
        const model = await window.baton.openWorkerModel(source, { target: 'wasm-simd' });
        let text = '';
        for await (const chunk of model.generate('A baker makes 24', { maxTokens: 6 })) text += chunk.text;
        await model.close();
        return `text ${text}`;
      } catch (error) {
        return String(error);
      }
    },
    { kind, at },
  );
const list = () => browser.page.evaluate(() => window.baton.opfsStore().list());
const weightRequests = (): string[] => browser.requests.filter((r) => r.includes('/weights'));

test('a download that breaks goes on where it broke, and is used after a reload without fetching it again', async () => {
  const weights = readFileSync(path.join(folder, 'tiny', 'weights.bin'));
  let cuts = 0;
  intercept = (request, response) => {
    if (request.url !== '/model/weights.bin' || cuts > 0) return false;
    cuts++;
    response.writeHead(200, {
      'Content-Length': weights.length,
      'Cross-Origin-Resource-Policy': 'same-origin',
    });
    // What the page has not read when the connection breaks is lost with it: it gets a second for reading.
    response.write(weights.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 1000));
    return true;
  };
  const first = await open('compiled', '/model/');
  expect(first).toMatch(/^text /);
  expect(weightRequests()).toHaveLength(2);
  expect(weightRequests()[1]).toMatch(/bytes=[1-9]\d*-$/);
  intercept = null;
  await browser.page.reload();
  expect(await open('compiled', '/model/')).toBe(first);
  expect(weightRequests()).toHaveLength(2);
  expect(await list()).toEqual([expect.objectContaining({ id: 'tiny', complete: true })]);
});

test('the stored model and a stored compilation run while the server is gone', async () => {
  const compiled = await open('compiled', '/model/');
  const made = await open('checkpoint', '/checkpoint/');
  expect(made).toBe(compiled);
  // The page's own script still comes; the model's addresses are dead.
  intercept = (request, response) => {
    if (!/^\/(model|checkpoint)\//.test(request.url ?? '')) return false;
    response.destroy();
    return true;
  };
  expect(await open('compiled', '/model/')).toBe(compiled);
  expect(await open('checkpoint', '/checkpoint/')).toBe(made);
  intercept = null;
});

test('two workers open a stored model at once, and a model that is open can be deleted and writes on', async () => {
  const text = await open('compiled', '/model/');
  const written = await browser.page.evaluate(async () => {
    const source = { kind: 'compiled', url: new URL('/model/', location.href).href } as const;
    const models = await Promise.all(
      [1, 2].map(() => window.baton.openWorkerModel(source, { target: 'wasm-simd' })),
    );
    const texts: string[] = [];
    for (const round of ['before', 'after']) {
      for (const model of models) {
        let text = 'text ';
        for await (const chunk of model.generate('A baker makes 24', { maxTokens: 6 })) text += chunk.text;
        texts.push(text);
      }
      const store = window.baton.opfsStore();
      if (round === 'before') for (const { name } of await store.list()) await store.delete(name);
    }
    for (const model of models) await model.close();
    return texts;
  });
  expect(written).toEqual([text, text, text, text]);
  expect(await list()).toEqual([]);
  expect(await open('compiled', '/model/')).toBe(text);
});

test('deleting removes a model, and persistence and space can be asked for', async () => {
  const before = await list();
  expect(before.length).toBeGreaterThan(0);
  for (const { name } of before) await browser.page.evaluate((n) => window.baton.opfsStore().delete(n), name);
  expect(await list()).toEqual([]);
  const space = await browser.page.evaluate(() => window.baton.storeSpace());
  expect(space!.quota).toBeGreaterThan(0);
  expect(typeof (await browser.page.evaluate(() => window.baton.persistStore()))).toBe('boolean');
});

test('a quota that is too small is said before the weights are fetched', async () => {
  const session = await browser.page.context().newCDPSession(browser.page);
  await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin, quotaSize: 200_000 });
  const asked = weightRequests().length;
  expect(await open('compiled', '/model/')).toMatch(/tiny needs 0\.\d+ MB more, and \S+ MB are free here/);
  expect(weightRequests()).toHaveLength(asked);
  await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin });
  expect(await open('compiled', '/model/')).toMatch(/^text /);
});

test('a quota that is full half-way through a compilation leaves nothing behind', async () => {
  for (const { name } of await list())
    await browser.page.evaluate((n) => window.baton.opfsStore().delete(n), name);
  const session = await browser.page.context().newCDPSession(browser.page);
  const { used } = (await browser.page.evaluate(() => window.baton.storeSpace()))!;
  // The weights are 0.5 MB: some of them fit.
  const quotaSize = used + 300_000;
  await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin, quotaSize });
  expect(await open('checkpoint', '/checkpoint/')).toMatch(/cannot write weights\.bin: .*nothing was kept/);
  expect(await list()).toEqual([]);
  await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin });
  expect(await open('checkpoint', '/checkpoint/')).toMatch(/^text /);
});
