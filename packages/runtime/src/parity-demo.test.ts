// The demo pair against transformers: logits that training/ recorded with the same weights.
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Decoder } from './decoder.ts';
import { DEMO_MODELS, openLocal } from './node/open-local.ts';
import { relativeError } from './self-test.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
interface Parity {
  ids: number[];
  positions: number[];
  logits: number[][];
}

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(path.join(os.tmpdir(), 'baton-cache-'));
  process.env.BATON_CACHE = cache;
});
afterAll(async () => rm(cache, { recursive: true, force: true }));

test('the demo pair and its references are in the repository', () => {
  for (const name of DEMO_MODELS) {
    expect(existsSync(path.join(root, 'models', name, 'config.json'))).toBe(true);
    expect(existsSync(path.join(root, 'training/results', `parity-${name}.json`))).toBe(true);
  }
});

describe.each(DEMO_MODELS)('%s', (name) => {
  test.each(['ort-cpu', 'wasm-simd'] as const)('%s agrees with transformers within 1e-3', async (target) => {
    const { ids, positions, logits } = JSON.parse(
      readFileSync(path.join(root, 'training/results', `parity-${name}.json`), 'utf8'),
    ) as Parity;
    const model = await openLocal(name, { target });
    try {
      const decoder = await Decoder.create(model.backend);
      const { logits: got } = await decoder.ingest(ids, { logits: 'all' });
      const size = model.backend.vocabSize;
      positions.forEach((position, i) => {
        expect(relativeError(got!.subarray(position * size, (position + 1) * size), logits[i]!)).toBeLessThan(
          1e-3,
        );
      });
    } finally {
      await model.close();
    }
  });
});
