// Links that offer a bridge, in the whole page in real Chromium, with a real bridge: nothing of a link is kept or asked before
// the person has paired, and what is not on this machine is never asked.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startBridge, type Bridge } from '@baton/bridge';
import type { Locator, Page } from 'playwright';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openTestBrowser, type TestBrowser } from '../../../../packages/runtime/test/browser/harness.ts';
import type { Settings } from '../state/settings.ts';

let browser: TestBrowser;
let bridge: Bridge;
let code = '';
let home: string;
/** Under a name that is not this machine's, as far as the page can tell. */
let elsewhere: Server;
let asked: string[] = [];
beforeAll(async () => {
  home = mkdtempSync(path.join(os.tmpdir(), 'baton-web-bridge-'));
  process.env.BATON_HOME = home;
  process.env.BATON_CACHE = path.join(os.tmpdir(), 'baton-test-cache');
  browser = await openTestBrowser({
    page: fileURLToPath(new URL('../..', import.meta.url)),
    flags: ['--host-resolver-rules=MAP elsewhere.test 127.0.0.1'],
  });
  bridge = await startBridge({
    model: 'demo-small',
    target: 'ort-cpu',
    port: 0,
    allowOrigins: [browser.origin],
    log: { info: () => undefined, error: () => undefined, request: () => undefined },
    onCode: (shown) => (code = shown),
  });
  elsewhere = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(404).end();
  });
  await new Promise<void>((ready) => elsewhere.listen(0, '127.0.0.1', ready));
});
beforeEach(() => (asked = []));
afterAll(async () => {
  await browser?.close();
  await bridge?.close();
  elsewhere?.close();
  rmSync(home, { recursive: true, force: true });
});

const away = (): string => `http://elsewhere.test:${(elsewhere.address() as AddressInfo).port}`;
/** The page is used with this bridge. */
const paired = { bridgeUrl: 'http://127.0.0.1:9', bridgeToken: 'a token', endpointKind: 'bridge' } as const;

/** A visit with a link, by a browser that has kept these settings. */
async function visit(link: string, settings: Partial<Settings>): Promise<Page> {
  const page = await browser.newPage();
  await page.evaluate(
    (kept) => localStorage.setItem('baton.settings/1', kept),
    JSON.stringify({ endpointOwn: true, ...settings }),
  );
  await page.goto(`${browser.origin}/index.html?visit${link}`);
  return page;
}
const kept = (page: Page): Promise<Settings> =>
  page.evaluate(() => JSON.parse(localStorage.getItem('baton.settings/1')!) as Settings);
const panel = (page: Page): Locator => page.locator('baton-bridge');

it('a link to elsewhere is refused, and the bridge that was paired stays', async () => {
  const page = await visit(`#bridge=${encodeURIComponent(away())}&pair=abcd`, paired);
  await panel(page).getByRole('alert').getByText('is not on this machine').waitFor();
  expect(await kept(page)).toMatchObject(paired);
  expect(asked).toEqual([]);
  await page.close();
});

it('a link with a code alone, to a page that no bridge serves, changes nothing either', async () => {
  const page = await visit('#pair=abcd', paired);
  await panel(page).getByLabel('Where the bridge is').waitFor();
  expect(await kept(page)).toMatchObject(paired);
  await page.close();
});

it('a link to a bridge of this machine is kept when the person has paired, and not before', async () => {
  bridge.pairing!.open();
  const page = await visit(`#bridge=${encodeURIComponent(bridge.url)}&pair=${code}`, paired);
  await expect.poll(() => panel(page).getByLabel('Where the bridge is').inputValue()).toBe(bridge.url);
  await panel(page).getByRole('button', { name: 'Look for the bridge' }).click();
  const field = panel(page).getByLabel(/Code that the bridge shows/);
  expect(await field.inputValue()).toBe(code);
  expect(await kept(page)).toMatchObject(paired);
  await panel(page).getByRole('button', { name: 'Pair' }).click();
  await panel(page).getByText('Paired: demo-small').waitFor();
  const { bridgeUrl, bridgeToken } = await kept(page);
  expect(bridgeUrl).toBe(bridge.url);
  expect(bridgeToken).not.toBe(paired.bridgeToken);
  await page.close();
});

it('a large model on a bridge elsewhere is not asked', async () => {
  const page = await visit('', { ...paired, bridgeUrl: away() });
  await page.locator('[data-model=large][data-tone=bad]', { hasText: 'is not on this machine' }).waitFor();
  expect(asked).toEqual([]);
  await page.close();
});
