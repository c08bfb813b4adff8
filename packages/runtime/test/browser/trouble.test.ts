// Targets in trouble, in real Chromium: one whose opening never ends, and one that cannot allocate a larger cache because
// the browser was started with a limit on WebAssembly memory.
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BROWSER_FLAGS, openTestBrowser, type TestBrowser } from './harness.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
let folder: string;
let browser: TestBrowser;
let intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-model-'));
  await compileDirectory(path.join(here, '../fixtures/tiny'), path.join(folder, 'tiny'), {
    context: [32, 131_072],
    chunk: 16,
  });
  browser = await openTestBrowser({
    page: path.join(here, 'page'),
    serve: { '/model/': path.join(folder, 'tiny') },
    // 33 MB: ONNX Runtime and the model fit; a cache of 131 072 slots in the same memory does not.
    flags: [...BROWSER_FLAGS, '--js-flags=--wasm-max-mem-pages=500'],
    intercept: (request, response) => intercept?.(request, response) ?? false,
  });
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Opens on the first of `order` that answers, and says how long that took and why the others were not taken. */
const open = async (order: ('webnn-cpu' | 'wasm-simd')[], patienceMs: number) => {
  // A page of its own: what was measured before is remembered.
  const page = await browser.newPage();
  try {
    return await page.evaluate(
      async ({ order, patienceMs }) => {
        const url = new URL('/model/', location.href).href;
        const model = await window.baton.openWorkerModel(
          { kind: 'compiled', url },
          { order, target: 'auto', patienceMs },
        );
        const found = { location: model.location, failures: Object.fromEntries(model.failures) };
        await model.close();
        return found;
      },
      { order, patienceMs },
    );
  } finally {
    await page.close();
  }
};

test.each([
  // The file never comes, so that InferenceSession.create() waits for ever.
  ['waits for ever', () => undefined, /no answer in 3 s while opening \S+\.onnx|did not answer in 3 s/],
  // A loop that leaves the worker no turn for a timer of its own: only the page can give it up.
  [
    'keeps its worker busy for ever',
    (response: ServerResponse) => void response.setHeader('Content-Type', 'text/javascript').end('for(;;);'),
    /^webnn-cpu did not answer in 3 s while opening on webnn-cpu$/,
  ],
] as const)(
  'a target that %s is given up after a while, and the next one taken',
  async (_name, answer, why) => {
    intercept = (request, response) => {
      if (!/ort-wasm-simd-threaded\.(jspi|asyncify)\S*\.mjs/.test(request.url ?? '')) return false;
      response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      answer(response);
      return true;
    };
    const found = await open(['webnn-cpu', 'wasm-simd'], 3000);
    intercept = null;
    expect(found.location).toBe('wasm-simd');
    expect(found.failures['webnn-cpu']).toMatch(why);
  },
);

const write = (order: ('wasm-simd' | 'webnn-cpu')[]) =>
  browser.page.evaluate(async (order) => {
    const url = new URL('/model/', location.href).href;
    const model = await window.baton.openWorkerModel({ kind: 'compiled', url }, { order, target: order[0]! });
    try {
      const logitBias = Object.fromEntries(model.manifest.stopIds.map((id) => [id, -Infinity]));
      const session = await model.openSession();
      const ids: number[] = [];
      const notes: string[] = [];
      let text = '';
      let reason = '';
      await session.sync('A baker makes 24 loaves.');
      // The stop string never comes whole, but its beginning is held back whenever it might.
      for await (const chunk of session.generate({ maxTokens: 40, sampling: { logitBias }, stop: ['~~~'] })) {
        ids.push(...chunk.tokenIds);
        notes.push(...(chunk.notes ?? []));
        text += chunk.text;
        reason = chunk.finishReason ?? reason;
      }
      const state = await session.state();
      const again = await session.sync('A baker makes 24 loaves.').then((r) => r.kept);
      return { ids, notes, text, reason, state, again, location: model.location };
    } finally {
      await model.close();
    }
  }, order);

test('a cache that WebAssembly has no memory for grows on the next target, or ends the text with that reason', async () => {
  const stopped = await write(['wasm-simd']);
  expect(stopped).toMatchObject({ reason: 'context', location: 'wasm-simd' });
  expect(stopped.ids).toHaveLength(25);
  expect(stopped.notes.join()).toMatch(/no room for a cache of 131072 slots.*no other target has room/);
  // What was shown is what the session holds, and it still works.
  expect(stopped.state.text).toBe(`A baker makes 24 loaves.${stopped.text}`);
  expect(stopped.again).toBeGreaterThan(0);
  const moved = await write(['wasm-simd', 'webnn-cpu']);
  expect(moved).toMatchObject({ reason: 'length', location: 'webnn-cpu' });
  expect(moved.ids).toHaveLength(40);
  expect(moved.ids.slice(0, 25)).toEqual(stopped.ids);
  expect(moved.notes.join()).toMatch(/no room for a cache of 131072 slots.*; went on with webnn-cpu/);
}, 240_000);

/** A page that counts the workers that it has started and not ended. */
const countingPage = async () => {
  const page = await browser.newPage();
  await page.evaluate(() => {
    const running = new Set<Worker>();
    window.Worker = class extends Worker {
      constructor(...start: ConstructorParameters<typeof Worker>) {
        super(...start);
        running.add(this);
      }
      override terminate(): void {
        super.terminate();
        running.delete(this);
      }
    };
    Object.assign(window, { running, url: new URL('/model/', location.href).href });
  });
  return page;
};
type Counting = Window & {
  running: Set<Worker>;
  url: string;
  model: Awaited<ReturnType<Window['baton']['openWorkerModel']>>;
};
const running = (page: TestBrowser['page']) =>
  page.evaluate(() => (window as unknown as Counting).running.size);

test('a model that is closed while it moves to another target leaves no worker behind', async () => {
  const page = await countingPage();
  let asked = false;
  intercept = (request) =>
    (asked ||= /ort-wasm-simd-threaded\.(jspi|asyncify)\S*\.mjs/.test(request.url ?? ''));
  await page.evaluate(async () => {
    const here = window as unknown as Counting;
    const order = ['wasm-simd', 'webnn-cpu'] as const;
    here.model = await window.baton.openWorkerModel(
      { kind: 'compiled', url: here.url },
      { order, target: 'wasm-simd' },
    );
    here.model.kill('a test ends it');
    // Its session needs a target: webnn-cpu, whose code never comes.
    here.model.openSession().catch(() => undefined);
  });
  await expect.poll(() => asked).toBe(true);
  expect(await running(page)).toBe(1);
  await page.evaluate(() => (window as unknown as Counting).model.close());
  intercept = null;
  expect(await running(page)).toBe(0);
  await page.close();
});

test('a worker that does not answer any more is ended all the same', async () => {
  const page = await countingPage();
  await page.evaluate(async () => {
    const here = window as unknown as Counting;
    here.model = await window.baton.openWorkerModel({ kind: 'compiled', url: here.url }, { target: 'wasm' });
  });
  // ONNX Runtime's own thread is a worker too.
  const worker = page.workers().find((one) => /worker-[^/]*$/.test(one.url()))!;
  await worker.evaluate(() => {
    setTimeout(() => {
      for (;;);
    });
  });
  await page.evaluate(() => (window as unknown as Counting).model.close());
  expect(await running(page)).toBe(0);
  await page.close();
});
