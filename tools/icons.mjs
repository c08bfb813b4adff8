// Makes the page's PNG icons again from apps/web/public/icon.svg, in the project's own Chromium: `node tools/icons.mjs`.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import chromiumBuild from '@sparticuz/chromium';
import { chromium } from 'playwright';
import { root } from './node.mjs';

const folder = path.join(root, 'apps', 'web', 'public');
const svg = await readFile(path.join(folder, 'icon.svg'), 'utf8');
// Systems cut a maskable icon to shapes of their own: the ground fills all of it, the drawing keeps to the middle 80 %.
const maskable = svg
  .replace(' rx="14"', '')
  .replace('<g ', '<g transform="translate(32 32) scale(.85) translate(-32 -32)" ');

const browser = await chromium.launch({
  executablePath: await chromiumBuild.executablePath(),
  args: ['--no-sandbox'],
});
try {
  for (const [name, drawing, size] of [
    ['icon-192.png', svg, 192],
    ['icon-512.png', svg, 512],
    ['icon-maskable-512.png', maskable, 512],
  ]) {
    const page = await browser.newPage({ viewport: { width: size, height: size } });
    await page.setContent(`<style>* { margin: 0 } svg { display: block; width: 100vw }</style>${drawing}`);
    await page.screenshot({ path: path.join(folder, name), omitBackground: true });
    await page.close();
  }
} finally {
  await browser.close();
}
