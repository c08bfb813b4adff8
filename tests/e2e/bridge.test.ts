// The page and the bridge in real Chromium: served by the bridge itself and paired by its link; served from elsewhere and
// paired by the code, with the browser's own permission for this machine asked for; as the small model, as the large
// one; and every way in which there is no bridge, each with its own words.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chromium, type Browser, type Locator } from 'playwright';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { serve, type Served } from '../support/serve.ts';
import { endlessEndpoint } from './fixed-endpoint.ts';
import { browserOptions, Visitor, root } from './started-page.ts';
import { staticHost, type StaticHost } from './static-host.ts';

// A visit opens models; on two busy cores that takes its time.
vi.setConfig({ testTimeout: 180_000 });

let built: string;
let browser: Browser;
beforeAll(async () => {
  built = mkdtempSync(path.join(os.tmpdir(), 'baton-page-'));
  const vite = path.join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const done = spawnSync(process.execPath, [vite, 'build', '--logLevel', 'warn', '--outDir', built], {
    cwd: root,
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(done.stderr);
  browser = await chromium.launch(await browserOptions());
}, 300_000);
afterAll(async () => {
  await browser?.close();
  rmSync(built, { recursive: true, force: true });
});

const panel = (visitor: Visitor): Locator => visitor.page.locator('baton-bridge');
const openSettings = (visitor: Visitor): Promise<void> =>
  visitor.page.getByRole('button', { name: 'Settings' }).click();

async function look(visitor: Visitor, address: string): Promise<void> {
  const field = panel(visitor).getByLabel('Where the bridge is');
  await field.fill(address);
  await field.blur();
  await panel(visitor).getByRole('button', { name: 'Look for the bridge' }).click();
}

describe('served by the bridge itself', () => {
  let bridge: Served;
  beforeAll(async () => {
    bridge = await serve(['--app', built, '--target', 'ort-cpu'], 'demo-small');
  });
  afterAll(async () => {
    await bridge?.stop();
  });

  it('the link pairs the page, and its small model then runs on the bridge', async () => {
    const visitor = await Visitor.open(browser, `${bridge.url}/#pair=${await bridge.code()}`);
    await visitor.page.locator('[data-model=small][data-tone=good]', { hasText: 'ort-cpu' }).waitFor();
    // The code is not left in the address, where a bookmark or a screenshot would keep it.
    expect(visitor.page.url()).toBe(`${bridge.url}/`);
    await visitor.policy('Small');
    await visitor.pick(0);
    await visitor.solve();
    const trace = await visitor.trace();
    expect(trace.models.small).toMatchObject({
      id: 'demo-small',
      location: `ort-cpu at 127.0.0.1:${bridge.port}`,
    });
    expect(trace.stopReason).toBe('end');
    expect(trace.text.length).toBeGreaterThan(20);
    expect(await visitor.page.evaluate(() => crossOriginIsolated)).toBe(true);
    // The token stays: after a reload the page is still paired.
    await visitor.page.reload();
    await visitor.page.locator('[data-model=small][data-tone=good]', { hasText: 'ort-cpu' }).waitFor();
    expect(visitor.errors).toEqual([]);
    await visitor.close();
  });

  it('another page cannot frame it or read it', async () => {
    const foreign = await staticHost(built);
    const visitor = await Visitor.open(browser, `${foreign.origin}/some/folder/`);
    const outcome = await visitor.page.evaluate(async (url) => {
      const frame = document.createElement('iframe');
      frame.src = `${url}/`;
      const loaded = new Promise((done) => frame.addEventListener('load', done));
      document.body.append(frame);
      await loaded;
      const read = await fetch(`${url}/`).then(
        () => 'read',
        () => 'refused',
      );
      return [frame.contentDocument === null, read];
    }, bridge.url);
    expect(outcome).toEqual([true, 'refused']);
    await visitor.close();
    await foreign.close();
  });
});

describe('served from elsewhere', () => {
  let host: StaticHost;
  let bridge: Served;
  beforeAll(async () => {
    host = await staticHost(built);
    bridge = await serve(['--allow-origin', host.origin, '--no-app', '--target', 'ort-cpu'], 'demo-large');
  });
  afterAll(async () => {
    await bridge?.stop();
    await host?.close();
  });
  const open = (at = browser): Promise<Visitor> =>
    Visitor.open(at, `${host.origin}/some/folder/`, 'wasm-simd');

  it('explains before it asks, pairs by the code, and uses the bridge as large and as small model', async () => {
    const visitor = await open();
    const asked: string[] = [];
    visitor.page.on('request', (request) => {
      if (request.url().startsWith(bridge.url)) asked.push(new URL(request.url()).pathname);
    });
    await visitor.ready();
    await openSettings(visitor);
    expect(await panel(visitor).locator('#why').innerText()).toContain('your browser may ask');
    expect(await panel(visitor).locator('pre').innerText()).toContain(`--allow-origin ${host.origin}`);
    expect(asked).toEqual([]);

    await look(visitor, bridge.url);
    const code = panel(visitor).getByLabel(/Code that the bridge shows/);
    await code.fill('AAAA-AAAA');
    await panel(visitor).getByRole('button', { name: 'Pair' }).click();
    await panel(visitor).getByText('that is not the code').waitFor();
    await code.fill(await bridge.code());
    await panel(visitor).getByRole('button', { name: 'Pair' }).click();
    await panel(visitor).getByText('Paired: demo-large on ort-cpu').waitFor();

    await panel(visitor).getByRole('button', { name: 'Use as the large model' }).click();
    await visitor.page.keyboard.press('Escape');
    await visitor.page
      .locator('[data-model=large][data-tone=good]', { hasText: String(bridge.port) })
      .waitFor();
    await visitor.policy('Large');
    await visitor.pick(0);
    await visitor.solve();
    const large = await visitor.trace();
    expect(large.totals.offloadRatio).toBe(1);
    expect(large.models.large?.location).toBe(`${bridge.url}/v1`);
    expect(large.notes).toEqual([]);

    const endless = await endlessEndpoint();
    await visitor.setEndpoint(endless.url);
    await visitor.solve();
    await visitor.page.getByText('step 5').waitFor();
    await openSettings(visitor);
    const use = panel(visitor).getByRole('button', { name: 'Use as the small model' });
    expect(await use.isDisabled()).toBe(true);
    await visitor.page.keyboard.press('Escape');
    await visitor.page.getByRole('button', { name: 'Stop', exact: true }).click();
    await visitor.trace();
    await endless.close();

    await openSettings(visitor);
    await use.click();
    await visitor.page.keyboard.press('Escape');
    await visitor.page.locator('[data-model=small][data-tone=good]', { hasText: 'demo-large' }).waitFor();
    await visitor.policy('Small');
    await visitor.solve();
    await expect.poll(async () => (await visitor.trace()).models.small.id).toBe('demo-large');
    const small = await visitor.trace();
    expect(small.totals.largeTokens).toBe(0);
    expect(small.stopReason).toBe('end');
    expect(visitor.errors.filter((line) => !line.includes('403'))).toEqual([]);
    await visitor.close();
  });

  it('a pairing that was revoked is said so, and can be made again', async () => {
    const visitor = await open();
    await visitor.ready();
    await openSettings(visitor);
    await look(visitor, bridge.url);
    // The code before was used up; asking for pairing shows a new one.
    const code = panel(visitor).getByLabel(/Code that the bridge shows/);
    await code.fill('AAAA-AAAA');
    await panel(visitor).getByRole('button', { name: 'Pair' }).click();
    await panel(visitor).getByRole('alert').waitFor();
    await code.fill(await bridge.code());
    await panel(visitor).getByRole('button', { name: 'Pair' }).click();
    await panel(visitor).getByText('Paired:').waitFor();
    await bridge.revoke('all');
    await panel(visitor).getByRole('button', { name: 'Look for the bridge' }).click();
    await panel(visitor).getByText('not paired any more').waitFor();
    await visitor.close();
  });

  describe('without a bridge', () => {
    it.each([
      ['nothing listens', 'http://127.0.0.1:9', /No bridge answers at 127\.0\.0\.1:9/],
      ['an address elsewhere', 'https://example.org', /is not on this machine/],
    ])('%s', async (_name, address, words) => {
      const visitor = await open();
      await openSettings(visitor);
      await look(visitor, address);
      await panel(visitor).getByRole('alert').waitFor();
      expect(await panel(visitor).getByRole('alert').innerText()).toMatch(words);
      await visitor.close();
    });

    it('a bridge that does not list this page', async () => {
      const other = await serve(['--no-app'], 'demo-small');
      const visitor = await open();
      await openSettings(visitor);
      await look(visitor, other.url);
      await panel(visitor).getByText(`Start it with --allow-origin ${host.origin}`).waitFor();
      await visitor.close();
      await other.stop();
    });

    it('the small model that was on a bridge which is gone: the page says so and another one can be chosen', async () => {
      const visitor = await Visitor.open(browser, `${host.origin}/some/folder/`, 'wasm-simd', {
        smallKind: 'bridge',
        bridgeUrl: 'http://127.0.0.1:9',
        bridgeToken: 'x',
      });
      await visitor.page.locator('[data-model=small][data-tone=bad]', { hasText: '127.0.0.1:9' }).waitFor();
      await openSettings(visitor);
      await visitor.page.locator('baton-small').getByLabel('Checkpoint').selectOption('demo');
      await visitor.page.keyboard.press('Escape');
      await visitor.ready();
      await visitor.close();
    });
  });

  // A page from the web, for the browser: its address is on this machine, but counted as public.
  describe('where the browser guards this machine (Local Network Access)', () => {
    let guarded: Browser;
    beforeAll(async () => {
      const options = await browserOptions();
      const port = new URL(host.origin).port;
      guarded = await chromium.launch({
        ...options,
        args: [...options.args, `--ip-address-space-overrides=127.0.0.1:${port}=public`],
      });
    });
    afterAll(async () => {
      await guarded?.close();
    });

    it('a person who refuses reads how to allow it; one who allows it is paired', async () => {
      const visitor = await open(guarded);
      await openSettings(visitor);
      const context = visitor.page.context();
      const states = await visitor.page.evaluate(() =>
        navigator.permissions.query({ name: 'local-network-access' as PermissionName }).then(
          (status) => status.state,
          () => 'unknown',
        ),
      );
      expect(['prompt', 'denied']).toContain(states);
      await look(visitor, bridge.url);
      await panel(visitor).getByRole('alert').waitFor();
      await context.grantPermissions(['local-network-access'], { origin: host.origin });
      await panel(visitor).getByRole('button', { name: 'Look for the bridge' }).click();
      await panel(visitor)
        .getByLabel(/Code that the bridge shows/)
        .waitFor();
      await visitor.close();
    });
  });
});
