// Graphs that compute on with the rows that are asked for: whatever is asked, the numbers are those of all rows.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { integerProductsAreExact, parseManifest, type CompileOptions } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../backend.ts';
import { Decoder } from '../../decoder.ts';
import { nodeTargets } from '../../node/index.ts';
import { relativeError } from '../../self-test.ts';
import { hasPort } from './graphs.ts';

const TINY = fileURLToPath(new URL('../../../test/fixtures/tiny', import.meta.url));
const CHUNK = 16;
const FORMS: CompileOptions[] = [
  { lowering: 'fused', attention: 'grouped' },
  { lowering: 'fused', attention: 'grouped', layersPerGraph: 1, boundary: 'f16' },
  { lowering: 'fused', attention: 'grouped', weights: 'int4' },
];
// ort-cpu refuses it where products of bytes saturate.
if (await integerProductsAreExact(ort))
  FORMS.push({ lowering: 'integer', weights: 'int8', group: 'channel' });

describe.each(FORMS)('%o', (form) => {
  let folder: string;
  let backend: Backend;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'baton-picked-'));
    await compileDirectory(TINY, folder, { context: 64, chunk: CHUNK, ...form });
    const files = new DirectoryFiles(folder);
    const manifest = parseManifest(new TextDecoder().decode(await files.read('baton.json')));
    expect(manifest.graphs.filter((g) => hasPort(g, 'inputs', 'picked')).map(({ role }) => role)).toEqual([
      'prefill',
    ]);
    backend = await nodeTargets().open('ort-cpu', manifest, files);
  });
  afterAll(async () => {
    await backend?.close();
    await rm(folder, { recursive: true, force: true });
  });

  // Less than a chunk, one, one and a bit, two and a bit.
  test.each([7, 16, 17, 37])('%d tokens: the last row, the watched ones and what follows', async (count) => {
    const tokens = Array.from({ length: count }, (_, i) => (i * 37 + count) % backend.vocabSize);
    const size = backend.vocabSize;
    const ids = [3, 11];
    const fresh = (): Promise<Decoder> => Decoder.create(backend);
    const [whole, last, watched, silent] = await Promise.all([fresh(), fresh(), fresh(), fresh()]);
    const all = (await whole.ingest(tokens, { logits: 'all' })).logits!;
    expect(all.length).toBe(count * size);
    const end = all.subarray((count - 1) * size);
    expect(relativeError((await last.ingest(tokens, { logits: 'last' })).logits!, end)).toBeLessThan(0.01);
    const seen = await watched.ingest(tokens, { logits: { watch: ids } });
    expect(seen.watched.length).toBe(count);
    for (const [r, { logprobs, argmaxLogprob, argmax }] of seen.watched.entries()) {
      const row = all.subarray(r * size, (r + 1) * size);
      expect(Math.abs(logprobs[0]! - logprobs[1]! - (row[3]! - row[11]!))).toBeLessThan(0.05);
      expect(Math.abs(argmaxLogprob - logprobs[0]! - (row[argmax]! - row[3]!))).toBeLessThan(0.05);
    }
    // What nobody asked about is in the cache all the same.
    await silent.ingest(tokens);
    const next = await whole.step(5);
    const then = Float32Array.from(next);
    for (const decoder of [last, watched, silent])
      expect(relativeError(await decoder.step(5), then)).toBeLessThan(0.01);
    for (const decoder of [whole, last, watched, silent]) await decoder.close();
  });
});
