// node-llama-cpp on GGUF files of the same shape: `npm install` in this folder, then `node node-llama.mjs [--threads 2]`.
// Prints one JSON line per file: prefill and decode in ms per token, after a prompt of 128 tokens.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { getLlama } from 'node-llama-cpp';
import { writeGguf } from '../gguf.ts';
import { SHAPES } from '../shapes.ts';
import { timing } from '../statistics.ts';

const { values } = parseArgs({
  options: { threads: { type: 'string', default: '2' }, rounds: { type: 'string', default: '3' } },
});
const threads = Number(values.threads);
const PROMPT = 128;
const STEPS = 24;

const folder = await mkdtemp(path.join(os.tmpdir(), 'baton-peers-'));
try {
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads });
  for (const type of ['q4_0', 'q8_0']) {
    const file = path.join(folder, `${type}.gguf`);
    await writeGguf(file, SHAPES['100m'], type);
    const start = performance.now();
    const model = await llama.loadModel({ modelPath: file });
    const loadMs = performance.now() - start;
    const prefill = [];
    const decode = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const context = await model.createContext({ contextSize: 1024, threads, batchSize: 64 });
      const sequence = context.getSequence();
      const prompt = Array.from({ length: PROMPT }, (_, i) => (i * 37 + 5) % 255);
      let last = performance.now();
      let first = true;
      for await (const _ of sequence.evaluate(prompt, { temperature: 0 })) {
        const now = performance.now();
        if (first) prefill.push((now - last) / PROMPT);
        else decode.push(now - last);
        first = false;
        last = now;
        if (decode.length >= STEPS * (round + 1)) break;
      }
      await context.dispose();
    }
    await model.dispose();
    console.log(
      JSON.stringify({
        peer: 'node-llama-cpp',
        weights: type,
        threads,
        loadMs,
        prefill: timing(prefill),
        decode: { [PROMPT]: timing(decode) },
      }),
    );
  }
  await llama.dispose();
} finally {
  await rm(folder, { recursive: true, force: true });
}
