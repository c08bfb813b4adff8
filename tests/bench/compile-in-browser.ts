// A checkpoint with the shape of a 0.5B model, compiled to int4 by a worker in real Chromium into the browser's private file
// system, and then asked: `node tests/bench/compile-in-browser.ts [work folder]`. Prints JSON: bytes read and kept, seconds
// until the model is open (compilation included), milliseconds per generated token. A measurement, not a test: the
// checkpoint is 1 GB of random weights.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { SHAPES, writeRandomCheckpoint } from '../../packages/compiler/bench/random-checkpoint.ts';
import { openTestBrowser } from '../../packages/runtime/test/browser/harness.ts';

const runtimeTests = path.join(import.meta.dirname, '../../packages/runtime/test');
const folder = await mkdtemp(path.join(process.argv[2] ?? os.tmpdir(), 'baton-browser-bench-'));
try {
  const { bytes: sourceBytes } = await writeRandomCheckpoint(folder, SHAPES['0.5b']);
  // Any tokenizer whose ids the vocabulary holds: what is measured does not depend on the text.
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    await cp(path.join(runtimeTests, 'fixtures/tiny', file), path.join(folder, file));
  }
  const page = path.join(runtimeTests, 'browser/page');
  const browser = await openTestBrowser({ page, serve: { '/checkpoint/': folder } });
  try {
    const measured = await browser.page.evaluate(async () => {
      const started = performance.now();
      const url = new URL('/checkpoint/', location.href).href;
      const model = await window.baton.openWorkerModel(
        { kind: 'checkpoint', url, compile: { context: 512, chunk: 32, weights: 'int4' } },
        { target: 'wasm-simd' },
      );
      const openSeconds = (performance.now() - started) / 1000;
      const asked = performance.now();
      let tokens = 0;
      for await (const chunk of model.generate('Hi there', { maxTokens: 16 }))
        tokens += chunk.tokenIds.length;
      const millisecondsPerToken = (performance.now() - asked) / tokens;
      const keptBytes = (await navigator.storage.estimate()).usage;
      await model.close();
      return { target: model.location, openSeconds, tokens, millisecondsPerToken, keptBytes };
    });
    console.log(JSON.stringify({ shape: '0.5b', weights: 'int4', sourceBytes, ...measured }));
  } finally {
    await browser.close();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
