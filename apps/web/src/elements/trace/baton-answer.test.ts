// The answer as it grows, in real Chromium.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestBrowser, type TestBrowser } from '../../../../../packages/runtime/test/browser/harness.ts';

let browser: TestBrowser;
beforeAll(async () => {
  browser = await openTestBrowser({ page: fileURLToPath(new URL('../../test-page', import.meta.url)) });
});
afterAll(() => browser?.close());

it('parses only the piece that has grown', async () => {
  const { parsed, shown } = await browser.page.evaluate(async () => {
    const parsed: string[] = [];
    window.parts.DOMPurify.addHook('afterSanitizeElements', (node) => {
      if (node.nodeName === 'P') parsed.push(node.textContent ?? '');
    });
    const answer = new window.parts.BatonAnswer();
    document.body.append(answer);
    for (const last of ['Then', 'Then 3', 'Then 3']) {
      answer.pieces = [
        { segment: 4, origin: 'small', text: 'First' },
        { segment: 5, origin: 'large', text: last },
      ];
      await answer.updateComplete;
    }
    const prose = [...answer.shadowRoot!.querySelectorAll('.prose')];
    return { parsed, shown: prose.map((one) => one.textContent?.trim()) };
  });
  expect(parsed).toEqual(['First', 'Then', 'Then 3']);
  expect(shown).toEqual(['First', 'Then 3']);
});
