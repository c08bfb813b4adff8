// Makes docs/images/page-light.png and page-dark.png again from a real run: starts everything as `npm start` does, asks
// one of the offered problems in real Chromium, and photographs the page. `node tools/screenshots.mjs [--out DIR]`.
// A fuller set (settings, phone width) comes with --all.
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import chromiumBuild from '@sparticuz/chromium';
import { chromium } from 'playwright';
import { root } from './node.mjs';

const flag = (name) => process.argv.includes(name);
const value = (name) => (flag(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined);
const out = path.resolve(value('--out') ?? path.join(root, 'docs', 'images'));
const problem = Number(value('--problem') ?? 0);
await mkdir(out, { recursive: true });

const given = value('--page');
const server = given
  ? null
  : spawn(process.execPath, [path.join(root, 'tools', 'start.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
const browser = await chromium.launch({
  executablePath: await chromiumBuild.executablePath(),
  args: [
    '--no-sandbox',
    '--enable-features=WebMachineLearningNeuralNetwork',
    '--enable-unsafe-webgpu',
    '--use-webgpu-adapter=swiftshader',
  ],
});
try {
  const address = given ?? (await pageAddress());
  for (const scheme of ['light', 'dark']) {
    const page = await browser.newPage({
      viewport: { width: 1280, height: 900 },
      colorScheme: scheme,
      reducedMotion: 'reduce',
    });
    page.on('pageerror', (error) => console.error(error.message));
    await page.goto(address);
    await page.locator('[data-model=small][data-tone=good]').waitFor({ timeout: 120_000 });
    if (flag('--all')) await page.screenshot({ path: path.join(out, `start-${scheme}.png`) });
    await page.getByLabel('Pick a problem').selectOption(String(problem));
    await page.getByRole('button', { name: 'Solve' }).click();
    await page.getByRole('button', { name: 'Download trace' }).waitFor({ timeout: 120_000 });
    await page.screenshot({ path: path.join(out, `page-${scheme}.png`) });
    if (flag('--all')) await further(page, scheme);
    await page.close();
  }
} finally {
  await browser.close();
  server?.kill('SIGTERM');
}

async function further(page, scheme) {
  await page
    .locator('baton-timeline .large button')
    .first()
    .click({ timeout: 3000 })
    .catch(() => undefined);
  await page.locator('baton-sent summary').click();
  await page.screenshot({ path: path.join(out, `inspector-${scheme}.png`), fullPage: true });
  await page.getByRole('button', { name: 'Settings' }).click();
  await page.screenshot({ path: path.join(out, `settings-${scheme}.png`) });
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: path.join(out, `phone-${scheme}.png`), fullPage: true });
}

function pageAddress() {
  return new Promise((resolve, reject) => {
    let text = '';
    server.stdout.on('data', (chunk) => {
      text += String(chunk);
      const found = /Baton\s+(http:\S+)/.exec(text);
      if (found) resolve(found[1]);
    });
    server.on('exit', () => reject(new Error('the server ended; its message is above')));
  });
}
