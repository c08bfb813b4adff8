// The record of what left the page, in real Chromium.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestBrowser, type TestBrowser } from '../../../../packages/runtime/test/browser/harness.ts';

let browser: TestBrowser;
beforeAll(async () => {
  browser = await openTestBrowser({ page: fileURLToPath(new URL('../test-page', import.meta.url)) });
});
afterAll(() => browser?.close());

it('tells the outcomes of two equal requests of one moment apart', async () => {
  const sent = await browser.page.evaluate(async () => {
    const { recordingFetch, store } = window.parts;
    Date.now = () => 1;
    await Promise.all([recordingFetch('index.html'), recordingFetch('nowhere')]);
    return store.value.sent.map(({ url, outcome }) => [url, outcome]);
  });
  expect(sent).toEqual([
    ['index.html', '200 OK'],
    ['nowhere', '404 Not Found'],
  ]);
});
