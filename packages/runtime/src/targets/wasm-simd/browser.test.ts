// wasm-simd in real Chromium, with threads on a cross-origin isolated page and on one thread without: the same int4 model
// must give what it gives in Node. (f32 against transformers, for all browser targets: test/browser/targets.test.ts.)
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANIFEST_FILE, parseManifest } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestBrowser, type TestBrowser } from '../../../test/browser/harness.ts';
import { openWasmSimd } from './index.ts';

const TEST = fileURLToPath(new URL('../../../test', import.meta.url));
const IDS = [3, 17, 99];
const TEXT = 'three and four make seven, and seven and three make ten';

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-simd-page-'));
  model = path.join(folder, 'model');
  const quantised = { weights: 'int4', group: 'channel', head: 'int4' } as const;
  await compileDirectory(path.join(TEST, 'fixtures/tiny'), model, { context: 128, chunk: 16, ...quantised });
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

describe.each([true, false])('a page that is cross-origin isolated: %s', (isolated) => {
  let browser: TestBrowser;
  beforeAll(async () => {
    browser = await openTestBrowser({
      page: path.join(TEST, 'browser/page'),
      serve: { '/model/': model },
      isolated,
    });
  });
  afterAll(async () => browser?.close());

  it('computes what Node computes', async () => {
    const seen = await browser.page.evaluate(
      async ({ text, watch }) => {
        const url = new URL('/model/', location.href).href;
        const opened = await window.baton.openWorkerModel({ kind: 'compiled', url }, { target: 'wasm-simd' });
        try {
          const session = await opened.openSession();
          const { watched } = await session.sync(text, { watch });
          const probe = (await window.baton.probeTargets()).find((p) => p.target === 'wasm-simd');
          return {
            ids: [...(await session.encode(text))],
            watched,
            reason: probe!.reason,
            isolated: crossOriginIsolated,
          };
        } finally {
          await opened.close();
        }
      },
      { text: TEXT, watch: IDS },
    );
    expect(seen.isolated).toBe(isolated);
    expect(seen.reason).toContain(isolated ? 'threads' : 'one thread');
    const files = new DirectoryFiles(model);
    const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
    const backend = await openWasmSimd(manifest, files);
    const sequence = await backend.createSequence();
    expect(seen.watched.length).toBe(seen.ids.length);
    for (let at = 0; at < seen.ids.length; at += 16) {
      const { watched } = await sequence.forward(seen.ids.slice(at, at + 16), at, { watch: IDS });
      for (const [t, row] of watched!.entries()) {
        const there = seen.watched[at + t]!;
        expect(there.argmax).toBe(row.argmax);
        for (const [i, logprob] of row.logprobs.entries()) expect(there.logprobs[i]).toBeCloseTo(logprob, 4);
      }
    }
    await backend.close();
  });
});
