// The model store in real Chromium: OPFS in a worker, a connection that breaks, a reload, no network, a full quota.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseManifest } from '@baton/compiler';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
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
  await compileDirectory(path.join(here, '../fixtures/tiny'), path.join(folder, 'small'), {
    context: 64,
    chunk: 16,
    weights: 'int4',
  });
  browser = await openTestBrowser({
    page: path.join(here, 'page'),
    serve: {
      '/small/': path.join(folder, 'small'),
      '/model/': path.join(folder, 'tiny'),
      '/checkpoint/': path.join(here, '../fixtures/tiny'),
    },
    intercept: (request, response) => intercept?.(request, response) ?? false,
  });
});
// A test that fails must not keep the next ones waiting for its server.
afterEach(() => void (intercept = null));
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

/** Begins to open, cancels as soon as `stage` is far enough, and tells how that ended. */
const cancelled = (
  kind: 'compiled' | 'checkpoint',
  at: string,
  stage: RegExp,
  target?: 'wasm-simd' | 'auto',
) =>
  browser.page.evaluate(
    async ({ kind, at, stage, target }) => {
      const control = new AbortController();
      const source = {
        kind,
        url: new URL(at, location.href).href,
        ...(kind === 'checkpoint' ? { compile: { context: 64, chunk: 16 } } : {}),
      };
      let atMs = 0;
      const opening = window.baton.openWorkerModel(source, {
        target: target ?? 'wasm-simd',
        signal: control.signal,
        onProgress: (progress) => {
          if (atMs > 0 || !new RegExp(stage).test(progress.stage) || progress.fraction === 0) return;
          atMs = performance.now();
          control.abort();
        },
      });
      const error = await opening.then(
        () => 'it opened',
        (error: unknown) => `${(error as Error).name}: ${(error as Error).message}`,
      );
      return { error, tookMs: performance.now() - atMs };
    },
    { kind, at, stage: stage.source, target },
  );

/**
 * Workers that answer. A worker that is ended while it starts can stay in the list that playwright keeps of them for good: it
 * answers nothing and holds no lock.
 */
const noWorkers = (): Promise<void> =>
  expect
    .poll(async () => {
      const answers = browser.page
        .workers()
        .map((worker) =>
          Promise.race([
            worker.evaluate(() => true).catch(() => false),
            new Promise<false>((resolve) => setTimeout(() => resolve(false), 2000)),
          ]),
        );
      const locks = await browser.page.evaluate(() => navigator.locks.query());
      return (await Promise.all(answers)).filter(Boolean).length + locks.held!.length + locks.pending!.length;
    })
    .toBe(0);

/** Sends a file's first `bytes` bytes and then nothing more. */
const stalled =
  (url: string, file: string, bytes: number) =>
  (request: IncomingMessage, response: ServerResponse): boolean => {
    // An answer without a body that does not end would keep the next request on its connection waiting.
    if (request.url !== url || request.method === 'HEAD') return false;
    const whole = readFileSync(file);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = range?.[2] ? Number(range[2]) + 1 : whole.length;
    response.writeHead(range ? 206 : 200, {
      'Content-Length': to - from,
      'Content-Range': `bytes ${from}-${to - 1}/${whole.length}`,
      'Cross-Origin-Resource-Policy': 'same-origin',
    });
    // An answer that is whole must be ended: its connection would be taken for the next request, and never answer it.
    if (from + bytes >= to) response.end(whole.subarray(from, to));
    else response.write(whole.subarray(from, from + bytes));
    return true;
  };

test('an opening that is cancelled while it downloads stops, keeps what came, and is gone on with later', async () => {
  for (const { name } of await list())
    await browser.page.evaluate((n) => window.baton.opfsStore().delete(n), name);
  const asked = weightRequests().length;
  intercept = stalled('/model/weights.bin', path.join(folder, 'tiny', 'weights.bin'), 200_000);
  // With 'auto' the next target must not be tried instead.
  const stopped = await cancelled('compiled', '/model/', /^downloading$/, 'auto');
  expect(stopped.error).toBe('AbortError: the opening was cancelled');
  expect(stopped.tookMs).toBeLessThan(5000);
  expect(weightRequests().slice(asked)).toEqual(['GET /model/weights.bin']);
  await noWorkers();
  expect(await list()).toEqual([expect.objectContaining({ complete: false })]);
  intercept = null;
  expect(await open('compiled', '/model/')).toMatch(/^text /);
  expect(weightRequests()).toHaveLength(asked + 2);
  expect(weightRequests().at(-1)).toMatch(/bytes=[1-9]\d*-$/);
  expect(await list()).toEqual([expect.objectContaining({ id: 'tiny', complete: true })]);
});

test('one that is cancelled while it compiles leaves nothing behind, and the next one compiles', async () => {
  for (const { name } of await list())
    await browser.page.evaluate((n) => window.baton.opfsStore().delete(n), name);
  intercept = stalled(
    '/checkpoint/model.safetensors',
    path.join(here, '../fixtures/tiny/model.safetensors'),
    10_000,
  );
  const stopped = await cancelled('checkpoint', '/checkpoint/', /^(reading the checkpoint|compiling)$/);
  expect(stopped.error).toBe('AbortError: the opening was cancelled');
  expect(stopped.tookMs).toBeLessThan(5000);
  await noWorkers();
  expect(await list()).toEqual([]);
  intercept = null;
  expect(await open('checkpoint', '/checkpoint/')).toMatch(/^text /);
});

test('one that is cancelled before it began asks for nothing', async () => {
  const asked = browser.requests.length;
  const never = await browser.page.evaluate(async () => {
    const url = new URL('/model/', location.href).href;
    const signal = AbortSignal.abort();
    return window.baton.openWorkerModel({ kind: 'compiled', url }, { signal }).then(String, String);
  });
  expect(never).toBe('AbortError: the opening was cancelled');
  expect(browser.requests.slice(asked).filter((r) => r.includes('/model/'))).toEqual([]);
});

test('an opening that is cancelled while the target opens ends the worker, and a model that is open does not mind', async () => {
  const stopped = await cancelled('compiled', '/model/', /^opening on/);
  expect(stopped.error).toBe('AbortError: the opening was cancelled');
  expect(stopped.tookMs).toBeLessThan(1000);
  await noWorkers();
  const went = await browser.page.evaluate(async () => {
    const control = new AbortController();
    const url = new URL('/model/', location.href).href;
    const model = await window.baton.openWorkerModel(
      { kind: 'compiled', url },
      { target: 'wasm-simd', order: ['wasm-simd', 'wasm'], signal: control.signal },
    );
    control.abort();
    let text = 'text ';
    const notes: string[] = [];
    for await (const chunk of model.generate('A baker makes 24', { maxTokens: 6 })) text += chunk.text;
    // A worker that is lost between two runs is replaced too, and the next run says so.
    model.kill('it crashed');
    await model.renderChat([{ role: 'user', content: 'Hello' }]).catch(() => undefined);
    for await (const chunk of model.generate('A baker makes 24', { maxTokens: 6 })) {
      text += chunk.text;
      notes.push(...(chunk.notes ?? []));
    }
    const target = model.location;
    await model.close();
    return { text, notes, target };
  });
  const once = await open('compiled', '/model/');
  expect(went).toEqual({
    text: once + once.slice('text '.length),
    notes: ['wasm-simd: it crashed; went on with wasm'],
    target: 'wasm',
  });
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

test('a model that is not kept comes in few requests, its small pieces together and none of them twice', async () => {
  const { files } = parseManifest(readFileSync(path.join(folder, 'small', 'baton.json'), 'utf8'));
  const { bytes } = files.find((file) => file.path === 'weights.bin')!;
  const requests = (): string[] => browser.requests.filter((r) => r.startsWith('GET /small/weights.bin'));
  const texts = await browser.page.evaluate(async () => {
    const url = new URL('/small/', location.href).href;
    const texts: string[] = [];
    for (const keep of [true, false]) {
      const model = await window.baton.openWorkerModel(
        { kind: 'compiled', url, keep },
        { target: 'wasm-simd' },
      );
      let text = '';
      for await (const chunk of model.generate('A baker makes 24', { maxTokens: 30 })) text += chunk.text;
      await model.close();
      texts.push(text);
    }
    return texts;
  });
  expect(texts[1]).toBe(texts[0]);
  const ranges = requests().filter((r) => r.includes('bytes='));
  // Its matrices alone are more pieces than that.
  expect(ranges.length).toBeLessThanOrEqual(Math.ceil(bytes / 65_536));
  expect(new Set(ranges).size).toBe(ranges.length);
});

test('persistence is asked for, and the answer is what the browser says afterwards', async () => {
  const ask = () =>
    browser.page.evaluate(async () => {
      const store = window.baton.opfsStore();
      const before = await store.persisted();
      const after = await store.persist();
      return { before, after, browser: await navigator.storage.persisted(), later: await store.persisted() };
    });
  // Nobody is there to be asked, so a browser without a window says no.
  const refused = await ask();
  expect(refused.browser).toBe(false);
  expect(refused.before).toEqual({
    persisted: false,
    detail: 'the browser may delete stored models when space gets short; they would be fetched again',
  });
  expect(refused.after).toEqual({
    persisted: false,
    detail: `the browser does not promise to keep them: ${refused.before.detail}`,
  });
  // Holds as long as this session does.
  const session = await browser.page.context().newCDPSession(browser.page);
  const { browserContextId } = (await session.send('Target.getTargetInfo')).targetInfo;
  await session.send('Browser.setPermission', {
    browserContextId: browserContextId!,
    permission: { name: 'persistent-storage' },
    setting: 'granted',
    origin: browser.origin,
  });
  const kept = await ask();
  expect(kept.browser).toBe(true);
  expect(kept.after).toEqual({
    persisted: true,
    detail: 'the browser keeps stored models until you delete them',
  });
  expect(kept.later).toEqual(kept.after);
});

test('deleting removes a model, and space can be asked for', async () => {
  const before = await list();
  expect(before.length).toBeGreaterThan(0);
  for (const { name } of before) await browser.page.evaluate((n) => window.baton.opfsStore().delete(n), name);
  expect(await list()).toEqual([]);
  const space = await browser.page.evaluate(() => window.baton.storeSpace());
  expect(space!.quota).toBeGreaterThan(0);
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

test.each([
  // The weights are 0.5 MB, everything 0.63.
  [
    'too small for a compilation is said before it writes',
    300_000,
    /the compiled model needs 0\.\d+ MB more/,
  ],
  [
    'full half-way through a compilation leaves nothing behind',
    560_000,
    /cannot write \S+: .*nothing was kept/,
  ],
])('a quota that is %s', async (_, room, said) => {
  for (const { name } of await list())
    await browser.page.evaluate((n) => window.baton.opfsStore().delete(n), name);
  const session = await browser.page.context().newCDPSession(browser.page);
  const { used } = (await browser.page.evaluate(() => window.baton.storeSpace()))!;
  await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin, quotaSize: used + room });
  expect(await open('checkpoint', '/checkpoint/')).toMatch(said);
  expect(await list()).toEqual([]);
  await session.send('Storage.overrideQuotaForOrigin', { origin: browser.origin });
  expect(await open('checkpoint', '/checkpoint/')).toMatch(/^text /);
});
