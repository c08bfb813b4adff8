// Compiled models of real families against the logits that transformers gave for the same checkpoints (the compiler's
// fixtures: tiny, random weights), and quantised ones against the network their stored integers stand for.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANIFEST_FILE, parseManifest, type CompileOptions, type Manifest } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { networkOf, weightsOf } from './compiled.ts';
import { openWasmSimd, probeWasmSimd } from './index.ts';
import { referenceLogits } from './reference.ts';

const FIXTURES = fileURLToPath(new URL('../../../../compiler/test/fixtures', import.meta.url));
const FAMILIES = (await readdir(FIXTURES, { withFileTypes: true }))
  .filter((d) => d.isDirectory())
  .map((d) => d.name);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'baton-wasm-simd-'));
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

async function compiled(
  family: string,
  options: CompileOptions,
): Promise<{ manifest: Manifest; files: DirectoryFiles }> {
  const out = path.join(folder, `${family}-${JSON.stringify(options).replace(/\W+/g, '-')}`);
  if (!existsSync(out))
    await compileDirectory(path.join(FIXTURES, family), out, { context: 128, chunk: 16, ...options });
  const files = new DirectoryFiles(out);
  return { manifest: parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE))), files };
}

interface Reference {
  prompt: number[];
  greedy: number[];
}

async function reference(family: string, vocabulary: number): Promise<Reference & { rows: Float32Array[] }> {
  const json = JSON.parse(await readFile(path.join(FIXTURES, family, 'reference.json'), 'utf8')) as Reference;
  const bytes = await readFile(path.join(FIXTURES, family, 'reference.bin'));
  const values = new Float32Array(new Uint8Array(bytes).buffer);
  const rows = Array.from({ length: values.length / vocabulary }, (_, t) =>
    values.subarray(t * vocabulary, (t + 1) * vocabulary),
  );
  return { ...json, rows };
}

/** Logits of every position: the first 33 tokens in chunks of 16, the rest one at a time. */
async function logitsOf(
  { manifest, files }: { manifest: Manifest; files: DirectoryFiles },
  tokens: readonly number[],
  activationBits: 8 | 16 = 8,
): Promise<Float32Array[]> {
  const backend = await openWasmSimd(manifest, files, { threads: 2, activationBits });
  try {
    const sequence = await backend.createSequence(manifest.capacities.at(-1));
    const rows: Float32Array[] = [];
    for (let at = 0; at < tokens.length;) {
      const part = tokens.slice(at, at + (at < 33 ? 16 : 1));
      const { logits } = await sequence.forward(part, at, 'all');
      for (let t = 0; t < part.length; t++)
        rows.push(logits!.slice(t * backend.vocabSize, (t + 1) * backend.vocabSize));
      at += part.length;
    }
    return rows;
  } finally {
    await backend.close();
  }
}

/** |actual - expected| / |expected| of each row. */
function errors(actual: readonly ArrayLike<number>[], expected: readonly ArrayLike<number>[]): number[] {
  return expected.map((row, t) => {
    let [difference, size] = [0, 0];
    for (let i = 0; i < row.length; i++) {
      difference += (actual[t]![i]! - row[i]!) ** 2;
      size += row[i]! ** 2;
    }
    return Math.sqrt(difference / size);
  });
}

describe.each(FAMILIES)('%s', (family) => {
  it('gives the logits and the greedy text of transformers in f32', async () => {
    const model = await compiled(family, {});
    const { prompt, greedy, rows } = await reference(family, model.manifest.architecture.vocabSize);
    const tokens = [...prompt, ...greedy];
    const actual = await logitsOf(model, tokens);
    expect(Math.max(...errors(actual, rows.slice(0, prompt.length)))).toBeLessThan(1e-3);
    const chosen = actual.slice(prompt.length - 1, -1).map((row) => row.indexOf(Math.max(...row)));
    expect(chosen).toEqual(greedy);
  });

  // The scales of packed weights keep 11 bits: with that rounding in the reference too, only f32 arithmetic and the
  // 16-bit cache are left; without it, the error is that of the scales (2^-12 each). int4 weights meet 8-bit activations
  // unless asked otherwise; the last bound is for their rounding (half a unit in 127 of the largest of 32).
  it.each([
    ['int8', 8, true, 2e-3],
    ['int8', 8, false, 1e-2],
    ['int4', 16, true, 2e-3],
    ['int4', 8, false, 0.12],
  ] as const)(
    'computes the network of its %s integers (%i-bit activations, codes %s) within %f',
    async (weights, bits, scaleCodes, bound) => {
      const model = await compiled(family, { weights, group: 'channel', head: weights });
      const tokens = (await reference(family, model.manifest.architecture.vocabSize)).prompt;
      const source = await weightsOf(model.manifest, model.files);
      const expected = await referenceLogits(networkOf(model.manifest), source, tokens, { scaleCodes });
      const sorted = errors(await logitsOf(model, tokens, bits), expected).sort((a, b) => a - b);
      // Random networks with sharp attention blow a rounding up at single positions, so for the rounded one the middle counts.
      const counted = weights === 'int4' && bits === 8 ? sorted[sorted.length >> 1]! : sorted.at(-1)!;
      expect(counted).toBeLessThan(bound);
    },
  );
});

it('refuses a model whose groups its kernels do not take, and says which', async () => {
  const { manifest, files } = await compiled('qwen2', { weights: 'int4', group: 16 });
  expect(probeWasmSimd(manifest)).toMatchObject({
    available: false,
    reason: expect.stringContaining(
      'the model has a scale for every 16 inputs of layers.0.query (the kernels here',
    ),
  });
  await expect(openWasmSimd(manifest, files)).rejects.toThrow('every 16 inputs');
});
