// wllama beside wasm-simd in the same Chromium, taking turns: `npm install` in this folder, then
// `node wllama.mjs [--threads 2] [--rounds 2]`. One JSON line per runtime, weights and round; ms per token after a prompt
// of 192 tokens. Every measurement gets a fresh page.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openTestBrowser } from '../../test/browser/harness.ts';
import { writeGguf } from '../gguf.ts';
import { SHAPES } from '../shapes.ts';

const { values } = parseArgs({
  options: { threads: { type: 'string', default: '2' }, rounds: { type: 'string', default: '2' } },
});
const threads = Number(values.threads);
const PROMPT = 192;

/** Runs in the page. */
async function measureWllama({ type, threads, prompt }) {
  const { Wllama } = await import('/wllama/esm/index.js');
  const wllama = new Wllama({ default: '/wllama/esm/wasm/wllama.wasm' });
  const blob = await (await fetch(`/models/${type}.gguf`)).blob();
  const start = performance.now();
  await wllama.loadModel([blob], { n_ctx: 1024, n_threads: threads, n_gpu_layers: 0 });
  const loadMs = performance.now() - start;
  const steps = [];
  let prefill;
  let last = performance.now();
  const stream = await wllama.createCompletion({
    prompt: 'abcdefgh'.repeat(prompt / 8),
    max_tokens: 32,
    nPredict: 32,
    temperature: 0,
    stream: true,
    ignore_eos: true,
  });
  for await (const _ of stream) {
    const now = performance.now();
    if (prefill === undefined) prefill = (now - last) / prompt;
    else steps.push(now - last);
    last = now;
  }
  // Tokens reach the page in bunches, so only their mean says what one takes.
  const mean = steps.reduce((sum, ms) => sum + ms, 0) / steps.length;
  return { loadMs, prefill, decode: { mean, samples: steps.length } };
}

const folder = await mkdtemp(path.join(os.tmpdir(), 'baton-peers-'));
let browser;
try {
  for (const type of ['q4_0', 'q8_0'])
    await writeGguf(path.join(folder, `${type}.gguf`), SHAPES['100m'], type);
  browser = await openTestBrowser({
    page: fileURLToPath(new URL('../browser', import.meta.url)),
    serve: {
      '/models/': folder,
      '/wllama/': fileURLToPath(new URL('./node_modules/@wllama/wllama', import.meta.url)),
    },
  });
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [type, weights] of [
      ['q4_0', 'int4'],
      ['q8_0', 'int8'],
    ]) {
      let page = await browser.newPage();
      const peer = await page.evaluate(measureWllama, { type, threads, prompt: PROMPT });
      console.log(JSON.stringify({ runtime: 'wllama', weights: type, threads, round, ...peer }));
      await page.close();
      page = await browser.newPage();
      const job = { shape: '100m', weights, contexts: [PROMPT], rounds: 3, threads };
      const own = await page.evaluate((job) => window.measure(job), job);
      console.log(
        JSON.stringify({
          runtime: 'wasm-simd',
          weights,
          threads: own.threads,
          round,
          loadMs: own.loadMs,
          prefill: own.prefill,
          decode: own.decode[PROMPT],
        }),
      );
      await page.close();
    }
  }
} finally {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
}
