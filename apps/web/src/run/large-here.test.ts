// The large model of this page while it is being opened, in real Chromium; its weights do not come.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestBrowser, type TestBrowser } from '../../../../packages/runtime/test/browser/harness.ts';

const at = (place: string): string => fileURLToPath(new URL(place, import.meta.url));

let browser: TestBrowser;
beforeAll(async () => {
  browser = await openTestBrowser({
    page: at('../test-page'),
    serve: { '/models/': at('../../../../models') },
    intercept: ({ url = '' }) => url.endsWith('.safetensors'),
  });
});
afterAll(() => browser?.close());

it('is given up when it is closed, and its end leaves the next opening alone', async () => {
  const ends = await browser.page.evaluate(async () => {
    const { cancelLargeHere, closeLargeHere, largeHere } = window.parts;
    const open = (): Promise<string> =>
      largeHere(new AbortController().signal).then(
        () => 'open',
        (error: Error) => error.name,
      );
    const first = open();
    const closed = closeLargeHere();
    const second = open();
    await closed;
    const firstEnd = await first;
    cancelLargeHere();
    return [firstEnd, await second];
  });
  expect(ends).toEqual(['AbortError', 'AbortError']);
});
