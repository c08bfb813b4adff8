// What ort-cpu refuses to open, because this machine would give wrong numbers for it without an error.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { integerProductsAreExact } from '@baton/compiler';
import { compileDirectory } from '@baton/compiler/node';
import * as ort from 'onnxruntime-node';
import { expect, it } from 'vitest';
import { openLocal } from './index.ts';

const TINY = fileURLToPath(new URL('../../test/fixtures/tiny', import.meta.url));

it('a model of integer products runs where they are exact, and on the next target elsewhere', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'baton-ort-cpu-'));
  try {
    await compileDirectory(TINY, folder, { context: 64, weights: 'int8', lowering: 'integer' });
    const exact = await integerProductsAreExact(ort);
    const model = await openLocal(folder);
    expect(model.location).toBe(exact ? 'ort-cpu' : 'wasm-simd');
    await model.close();
    const asked = openLocal(folder, { target: 'ort-cpu' });
    if (exact) await (await asked).close();
    else await expect(asked).rejects.toThrow(/ort-cpu gives wrong numbers.*saturate.*use wasm-simd/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
