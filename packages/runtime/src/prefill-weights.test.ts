// Prompts through int4 weights that are unpacked at opening: the numbers are those of the weights as they are stored, on the
// runtime that uses the graphs and on the one that reads the weight file itself.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PREFILL_WEIGHTS, parseManifest, type PrefillWeights } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Decoder } from './decoder.ts';
import { nodeTargets } from './node/index.ts';
import { relativeError } from './self-test.ts';

const TINY = fileURLToPath(new URL('../test/fixtures/tiny', import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-bytes-'));
  for (const prefillWeights of PREFILL_WEIGHTS)
    await compileDirectory(TINY, path.join(folder, prefillWeights), {
      context: [64, 128],
      chunk: 16,
      weights: 'int4',
      lowering: 'fused',
      attention: 'grouped',
      prefillWeights,
    });
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

async function logits(form: PrefillWeights, target: 'ort-cpu' | 'wasm-simd'): Promise<Float32Array> {
  const files = new DirectoryFiles(path.join(folder, form));
  const manifest = parseManifest(new TextDecoder().decode(await files.read('baton.json')));
  const backend = await nodeTargets().open(target, manifest, files);
  try {
    const decoder = await Decoder.create(backend);
    // Longer than the first capacity: the cache grows in between.
    const tokens = Array.from({ length: 90 }, (_, i) => (i * 37) % manifest.architecture.vocabSize);
    const { logits: all } = await decoder.ingest(tokens, { logits: 'all' });
    return Float32Array.from(all!);
  } finally {
    await backend.close();
  }
}

test.each(['ort-cpu', 'wasm-simd'] as const)('%s gives the same logits for both forms', async (target) => {
  const [bytes, stored] = [await logits('bytes', target), await logits('stored', target)];
  // Activations are rounded to 8 bits; a sum in another order moves one of them by a step now and then.
  expect(relativeError(bytes, stored)).toBeLessThan(target === 'ort-cpu' ? 0.02 : 1e-6);
});
