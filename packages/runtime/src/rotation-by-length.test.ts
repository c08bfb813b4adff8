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
