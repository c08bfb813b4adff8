// The page with its service worker in real Chromium: without its server, on hosts that send no isolating headers, from one
// version to the next, and below the bridge.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Trace } from '@baton/split/trace';
import { serve } from '../support/serve.ts';
import { Visitor, openBrowser, root } from './started-page.ts';
import { staticHost } from './static-host.ts';

// A visit opens models; on two busy cores that takes its time.
vi.setConfig({ testTimeout: 240_000 });

const ISOLATING = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

let folder: string;
let first: string;
let second: string;
let browser: Browser;
beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton-offline-'));
  first = path.join(folder, 'first');
  second = path.join(folder, 'second');
  await build('vite.config.ts', first);
  await build('tests/e2e/second-build.config.ts', second);
  browser = await openBrowser();
}, 600_000);
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function build(config: string, outDir: string): Promise<void> {
  const vite = path.join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const args = [vite, 'build', '--logLevel', 'warn', '--config', config, '--outDir', outDir];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk) => (errors += String(chunk)));
  const status = await new Promise((done) => child.once('exit', done));
  if (status !== 0) throw new Error(errors);
}

function visit(address: string, target = 'wasm-simd'): Promise<Visitor> {
  return Visitor.open(browser, address, target, {}, 'allow');
}

interface Counted {
  visitor: Visitor;
  page: Page;
  /** How often the page has been loaded. */
  loads: () => number;
}

/** `beforehand`: runs in the page before its own scripts. */
async function visitCounted(address: string, target?: string, beforehand?: () => void): Promise<Counted> {
  // Nothing is there, so that no load is missed.
  const visitor = await visit(new URL('/nowhere', address).href, target);
  visitor.errors.length = 0;
  const { page } = visitor;
  if (beforehand) await page.addInitScript(beforehand);
  let loads = 0;
  page.on('domcontentloaded', () => loads++);
  await page.goto(address, { waitUntil: 'commit' });
  return { visitor, page, loads: () => loads };
}

/** The service worker has stored the page and answers it. */
async function stored(page: Page): Promise<void> {
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
}

/** No worker is on its way. */
const settled = (page: Page): Promise<boolean> =>
  page.evaluate(async () => {
    const { installing, waiting, active } = (await navigator.serviceWorker.getRegistration())!;
    return !installing && !waiting && active?.state === 'activated';
  });

async function solveSmall(visitor: Visitor, problem: number, target = 'wasm-simd'): Promise<Trace> {
  await visitor.ready();
  await visitor.policy('Small');
  await visitor.pick(problem);
  await visitor.solve();
  const trace = await visitor.trace();
  expect(trace.stopReason).toBe('end');
  expect(trace.models.small).toMatchObject({ id: 'demo-small', location: target });
  return trace;
}

/** Paths of what was answered, by whether the service worker did it. */
function answered(page: Page): { byWorker: Set<string>; byServer: Set<string> } {
  const paths = { byWorker: new Set<string>(), byServer: new Set<string>() };
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    (response.fromServiceWorker() ? paths.byWorker : paths.byServer).add(pathname);
  });
  return paths;
}

const isolated = (page: Page): Promise<boolean> => page.evaluate(() => crossOriginIsolated);
/** Nothing but the browser's own lines about a server that is gone. */
const otherErrors = (visitor: Visitor): string[] =>
  visitor.errors.filter((line) => !line.includes('net::ERR_CONNECTION_REFUSED'));

describe('a static host that sends no headers', () => {
  it('shows an isolated page after one reload, with threads, and without the host after that', async () => {
    const host = await staticHost(first);
    const { visitor, page, loads } = await visitCounted(`${host.origin}/some/folder/`);
    const paths = answered(page);
    await page.waitForFunction(() => crossOriginIsolated);
    const trace = await solveSmall(visitor, 0);
    expect(loads()).toBe(2);
    expect(await page.locator('[data-figure=target]').innerText()).toMatch(/[2-9]\d* threads/);
    const ofModel = (paths: Set<string>): string[] => [...paths].filter((name) => name.includes('/models/'));
    expect(ofModel(paths.byServer)).toContain('/some/folder/models/demo-small/model.safetensors');
    expect(ofModel(paths.byWorker)).toEqual([]);
    expect(visitor.errors).toEqual([]);

    await host.close();
    await page.reload();
    const without = await solveSmall(visitor, 1);
    expect(without.question).not.toBe(trace.question);
    expect(await isolated(page)).toBe(true);
    expect(loads()).toBe(3);
    expect(otherErrors(visitor)).toEqual([]);
    await visitor.close();
  });

  it('does not reload under somebody who has begun to use the page; the next load is isolated', async () => {
    const host = await staticHost(first);
    const { visitor, page, loads } = await visitCounted(`${host.origin}/some/folder/`);
    await page.locator('textarea').fill('What is 2 + 3?');
    await page.keyboard.press('Space');
    await stored(page);
    await visitor.ready();
    expect(loads()).toBe(1);
    expect(await isolated(page)).toBe(false);
    await page.reload();
    expect(await isolated(page)).toBe(true);
    await visitor.close();
    await host.close();
  });

  it('is used without isolation where the reload does not bring it, and is not reloaded again', async () => {
    const host = await staticHost(first);
    // As in a browser that does not isolate pages by a worker's headers.
    const { visitor, page, loads } = await visitCounted(`${host.origin}/some/folder/`, 'wasm-simd', () =>
      Object.defineProperty(globalThis, 'crossOriginIsolated', { value: false }),
    );
    await expect.poll(loads).toBe(2);
    await stored(page);
    await solveSmall(visitor, 0);
    await page.reload();
    await visitor.ready();
    expect(loads()).toBe(3);
    expect(visitor.errors).toEqual([]);
    await visitor.close();
    await host.close();
  });
});

describe('a host that isolates the page itself', () => {
  it('is loaded once, and not needed for the next load, nor is ONNX Runtime’s once it has been used', async () => {
    const host = await staticHost(first, ISOLATING);
    const { visitor, page, loads } = await visitCounted(`${host.origin}/some/folder/`, 'wasm');
    await stored(page);
    await visitor.ready();
    expect(loads()).toBe(1);
    // At the first load it came before the service worker was there.
    await page.reload();
    await solveSmall(visitor, 0, 'wasm');
    await host.close();
    await page.reload();
    await solveSmall(visitor, 1, 'wasm');
    expect(await isolated(page)).toBe(true);
    expect(loads()).toBe(3);
    expect(otherErrors(visitor)).toEqual([]);
    await visitor.close();
  });
});

describe('a new version', () => {
  it('is what the next load shows; a page of the version before keeps its files until it is closed', async () => {
    // As GitHub Pages lets a browser keep everything.
    const host = await staticHost(first, { ...ISOLATING, 'cache-control': 'max-age=600' });
    const address = `${host.origin}/some/folder/`;
    const visitor = await visit(address);
    const { page } = visitor;
    await stored(page);
    const other = await page.context().newPage();
    await other.goto(address);
    const version = (of: Page): Promise<string | undefined> =>
      of.evaluate(() => document.documentElement.dataset.build);
    const versions = (): Promise<number> =>
      page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith('baton-page')).length);
    const script = await page.locator('script[type=module]').evaluate((s) => (s as HTMLScriptElement).src);
    const status = (of: Page): Promise<number | string> =>
      of.evaluate((url) => fetch(url, { cache: 'reload' }).then((r) => r.status), script);
    expect(await version(page)).toBeUndefined();

    host.folder = second;
    // The browser does so by itself at a load, at the latest after a day.
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    await expect.poll(versions).toBe(2);
    await expect.poll(() => settled(page)).toBe(true);
    expect((await fetch(script)).status).toBe(404);
    expect(await status(page)).toBe(200);

    await page.reload();
    expect(await version(page)).toBe('second');
    await visitor.ready();
    expect(await version(other)).toBeUndefined();
    expect(await status(other)).toBe(200);
    await other.close();
    // The browser may take a moment for that.
    const held = (): Promise<string[]> =>
      page.evaluate(async () => (await navigator.locks.query()).held!.map(({ name }) => name!));
    await expect.poll(held).not.toContain(`baton page ${script}`);
    await page.reload();
    await expect.poll(versions).toBe(1);
    expect(await status(page)).toBe(404);

    await host.close();
    await page.reload();
    await visitor.ready();
    expect(await version(page)).toBe('second');
    await visitor.close();
  });
});

describe('a load while a new version is coming', () => {
  it('does not keep it waiting', async () => {
    const host = await staticHost(first, ISOLATING);
    const visitor = await visit(`${host.origin}/some/folder/`);
    const { page } = visitor;
    await stored(page);
    host.folder = second;
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    await page.reload();
    await expect.poll(() => settled(page)).toBe(true);
    await host.close();
    await page.reload();
    expect(await page.evaluate(() => document.documentElement.dataset.build)).toBe('second');
    await visitor.close();
  });
});

describe('below the bridge', () => {
  it('leaves every request but those for the page alone', async () => {
    const bridge = await serve(['--app', first, '--target', 'ort-cpu'], 'demo-small');
    const visitor = await visit(bridge.url);
    const { page } = visitor;
    await stored(page);
    const paths = answered(page);
    await page.goto(`${bridge.url}/#pair=${await bridge.code()}`);
    await page.reload();
    await page.locator('[data-model=small][data-tone=good]', { hasText: 'ort-cpu' }).waitFor();
    await visitor.policy('Small');
    await visitor.pick(0);
    await visitor.solve();
    expect((await visitor.trace()).models.small?.id).toBe('demo-small');
    expect([...paths.byWorker]).toEqual(
      expect.arrayContaining(['/', '/baton-config.json', '/problems.json']),
    );
    const pages =
      /^\/($|index\.html$|baton-config\.json$|problems\.json$|assets\/|icon|manifest\.webmanifest$)/;
    expect([...paths.byWorker].filter((name) => !pages.test(name))).toEqual([]);
    expect([...paths.byServer]).toEqual(expect.arrayContaining(['/pair', '/v1/models', '/v1/sessions']));
    expect(visitor.errors).toEqual([]);
    await visitor.close();
    await bridge.stop();
  });
});
