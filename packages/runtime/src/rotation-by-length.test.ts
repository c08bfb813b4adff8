// A model whose rotation goes by the length of the sequence (Phi-3's longrope) generates as transformers does, across the
// length where the factors change: the decoder grows into the longer cache by running its tokens again.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANIFEST_FILE, parseManifest } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from './backend.ts';
import { Decoder } from './decoder.ts';
import { openOrtCpu } from './node/ort-cpu.ts';
import { Sampler } from './sampling/sampler.ts';
import { scoreTokens } from './score.ts';
import { speculate } from './speculate.ts';
import { openWasmSimd } from './targets/wasm-simd/index.ts';

const FIXTURES = fileURLToPath(new URL('../../compiler/test/fixtures', import.meta.url));

interface LengthReference {
  ids: number[];
  rows: { length: number; logits: number[] }[];
  generated: { prompt: number; tokens: number[] };
}

/** What is opened: a form of the model on a target. */
const CASES = [
  { attention: 'primitive', target: 'wasm-simd' },
  { attention: 'primitive', target: 'ort-cpu' },
  { attention: 'grouped', target: 'ort-cpu' },
] as const;
type Case = (typeof CASES)[number];

let folder = '';
let reference: LengthReference;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'baton-length-'));
  for (const attention of ['primitive', 'grouped'] as const)
    await compileDirectory(path.join(FIXTURES, 'phi4-mini'), path.join(folder, attention), {
      context: 64,
      chunk: 16,
      lowering: 'fused',
      attention,
    });
  const text = await readFile(path.join(FIXTURES, 'length-reference.json'), 'utf8');
  reference = (JSON.parse(text) as Record<string, LengthReference>)['longrope']!;
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

async function open({ attention, target }: Case): Promise<Backend> {
  const files = new DirectoryFiles(path.join(folder, attention));
  const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
  // 16-bit activations: what is compared is rotation, not rounding.
  if (target === 'wasm-simd') return openWasmSimd(manifest, files, { threads: 2, activationBits: 16 });
  return openOrtCpu(manifest, files);
}

function relativeError(actual: Float32Array, expected: readonly number[]): number {
  return Math.hypot(...expected.map((x, i) => x - actual[i]!)) / Math.hypot(...expected);
}

test.each(CASES)('$target with $attention attention follows the sequence', async (form) => {
  const backend = await open(form);
  try {
    const { ids, rows, generated } = reference;
    const decoder = await Decoder.create(backend);
    let { logits } = await decoder.ingest(ids.slice(0, generated.prompt), { logits: 'last' });
    const made: number[] = [];
    while (made.length < generated.tokens.length) {
      made.push(logits!.indexOf(Math.max(...logits!)));
      logits = await decoder.step(made.at(-1)!);
    }
    expect(made).toEqual(generated.tokens);
    await decoder.close();
    // Fresh sequences, whole prompts: the longer ones run under the longer table from their first token on.
    for (const { length, logits: expected } of rows) {
      const fresh = await Decoder.create(backend);
      const result = await fresh.ingest(ids.slice(0, length), { logits: 'last' });
      expect(relativeError(result.logits!, expected), `${length} tokens`).toBeLessThan(2e-3);
      await fresh.close();
    }
  } finally {
    await backend.close();
  }
});

/** Logits of a fresh sequence of `tokens`, a row for each. */
async function fresh(backend: Backend, tokens: readonly number[]): Promise<Float32Array[]> {
  const decoder = await Decoder.create(backend);
  const { logits } = await decoder.ingest(tokens, { logits: 'all' });
  await decoder.close();
  const size = backend.vocabSize;
  return tokens.map((_, i) => logits!.slice(i * size, (i + 1) * size));
}

test.each(CASES)('$target with $attention attention keeps nothing of what was rolled back', async (form) => {
  const backend = await open(form);
  try {
    const ids = reference.ids.slice(0, 50);
    const [short, long] = [await fresh(backend, ids.slice(0, 20)), await fresh(backend, ids)];
    const decoder = await Decoder.create(backend);
    await decoder.ingest(ids);
    for (const from of [0, 12, 19]) {
      decoder.rollback(from);
      const { logits } = await decoder.ingest(ids.slice(from, 20), { logits: 'last' });
      expect(relativeError(logits!, [...short[19]!]), `back at ${from}`).toBeLessThan(2e-3);
      const again = await decoder.ingest(ids.slice(20), { logits: 'last' });
      expect(relativeError(again.logits!, [...long[49]!]), `from ${from} on`).toBeLessThan(2e-3);
    }
    // The scores of a text are those of one pass over it, though it is read in chunks.
    const scored = await scoreTokens(decoder, ids, 1);
    scored.slice(1).forEach(({ top }, i) => {
      const row = long[i]!;
      const sum = Math.log(row.reduce((all, x) => all + Math.exp(x), 0));
      expect(top[0]!.logprob, `token ${i + 1}`).toBeCloseTo(Math.max(...row) - sum, 2);
    });
  } finally {
    await backend.close();
  }
});

test('a guess reaches no further than the length where the factors change', async () => {
  const backend = await open(CASES[1]);
  try {
    const change = backend.rotationChanges![0]!;
    const last = backend.capacities.findLast((c) => c < change)!;
    const loop = reference.ids.slice(0, 5);
    const tokens = Array.from({ length: last - 2 }, (_, i) => loop[i % loop.length]!);
    const rows = await fresh(backend, tokens);
    const decoder = await Decoder.create(backend);
    await decoder.ingest(tokens.slice(0, -1));
    const chosen = await speculate(decoder, new Sampler(), tokens.slice(-1), 8, new Set<number>(), undefined);
    expect(relativeError(chosen![0]!.logits, [...rows.at(-1)!])).toBeLessThan(2e-3);
  } finally {
    await backend.close();
  }
});

test('the length where the factors change need not be a whole block of the cache', async () => {
  const checkpoint = path.join(folder, 'checkpoint');
  await cp(path.join(FIXTURES, 'phi4-mini'), checkpoint, { recursive: true });
  const configFile = path.join(checkpoint, 'config.json');
  const config = JSON.parse(await readFile(configFile, 'utf8')) as Record<string, unknown>;
  await writeFile(configFile, JSON.stringify({ ...config, original_max_position_embeddings: 20 }));
  await compileDirectory(checkpoint, path.join(folder, 'primitive'), {
    context: 64,
    chunk: 16,
    lowering: 'fused',
  });
  const tokens = reference.ids.slice(0, 18);
  const rows: Float32Array[] = [];
  for (const target of ['ort-cpu', 'wasm-simd'] as const) {
    const backend = await open({ attention: 'primitive', target });
    const decoder = await Decoder.create(backend);
    rows.push((await decoder.ingest(tokens, { logits: 'last' })).logits!.slice());
    await backend.close();
  }
  expect(relativeError(rows[1]!, [...rows[0]!])).toBeLessThan(2e-3);
});
