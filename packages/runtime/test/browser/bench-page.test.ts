// The bench page as a person meets it: `baton bench page` serves it, Chromium opens it, the button measures a small shape and
// the table fills with figures; light and dark, wide and as narrow as a phone.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import chromiumBuild from '@sparticuz/chromium';
import { chromium, type Browser } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserArguments } from './harness.ts';

const command = fileURLToPath(new URL('../../../../apps/cli/bin/baton.mjs', import.meta.url));
let serving: ChildProcess;
let browser: Browser;
let url: string;

beforeAll(async () => {
  const port = await freePort();
  serving = spawn(process.execPath, [command, 'bench', 'page', '--port', String(port)], { stdio: 'pipe' });
  let said = '';
  url = await new Promise<string>((resolve, reject) => {
    const read = (part: Buffer): void => {
      said += part.toString();
      const found = /http:\/\/127\.0\.0\.1:\d+\//.exec(said);
      if (found) resolve(found[0]);
    };
    serving.stdout!.on('data', read);
    serving.stderr!.on('data', read);
    serving.once('exit', () => reject(new Error(said)));
  });
  browser = await chromium.launch({
    executablePath: await chromiumBuild.executablePath(),
    args: browserArguments(),
  });
}, 120_000);
afterAll(async () => {
  await browser?.close();
  if (serving?.exitCode === null) {
    serving.kill();
    await once(serving, 'exit');
  }
});

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test.each([
  ['light', 1280],
  ['dark', 390],
] as const)(
  'it measures every width of weights in a %s window %i pixels wide',
  async (colorScheme, width) => {
    const context = await browser.newContext({
      colorScheme,
      viewport: { width, height: 800 },
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(url);
    await page.getByLabel('Shape').selectOption('2m');
    await page.getByLabel('f32').check();
    await page.getByRole('button', { name: 'Measure' }).click();
    await expect
      .poll(() => page.getByRole('status').textContent(), { timeout: 120_000, interval: 250 })
      .toBe('Done.');
    const rows = await page
      .locator('tbody tr')
      .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
    expect(rows.map((row) => row[0])).toEqual(['int4', 'int8', 'f32']);
    for (const [, bits, ...figures] of rows) {
      expect(Number(bits)).toBeGreaterThan(4);
      expect(figures).toHaveLength(7);
      for (const text of figures) expect(text).toMatch(/\d/);
      expect(figures.join()).not.toMatch(/NaN|Infinity|undefined/);
    }
    await page.getByRole('button', { name: /Copy/ }).click();
    const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText())) as {
      schema: string;
      figures: { weights: string; figures: { threads: number; isolated: boolean } }[];
    };
    expect(copied.schema).toBe('baton.bench.browser/1');
    expect(copied.figures.map((f) => f.weights)).toEqual(['int4', 'int8', 'f32']);
    expect(copied.figures.every((f) => f.figures.isolated)).toBe(true);
    // The window scrolls in one direction only, and follows the system's theme.
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    // What is painted, from the picture: transparent means the browser's own canvas, which has no computed colour.
    const dark = await page.evaluate(() => getComputedStyle(document.querySelector('h1')!).color);
    expect(dark).toBe(colorScheme === 'dark' ? 'rgb(255, 255, 255)' : 'rgb(0, 0, 0)');
    if (process.env.BATON_TEST_PICTURES)
      await page.screenshot({
        path: `${process.env.BATON_TEST_PICTURES}/bench-${colorScheme}-${width}.png`,
        fullPage: true,
      });
    expect(errors).toEqual([]);
    await context.close();
  },
  240_000,
);
