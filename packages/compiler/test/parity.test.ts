// Compiled models against Hugging Face transformers on the same weights: every family, as whole prompts, in chunks, in odd
// lengths, after a rollback, token by token; and every way of storing weights within its stated error.
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CompileOptions } from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import { argmax, fixture, fixtureNames, withFolder, worstError, type Fixture } from './fixtures.ts';
import { TestHost } from './host.ts';

/** f32 against f32 differs by rounding only; the promise is 1e-3. */
const TOLERANCE = 1e-4;
const CONTEXT = 128;

async function withModel<T>(
  f: Fixture,
  options: CompileOptions,
  work: (host: TestHost) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const out = path.join(folder, 'model');
    await compileDirectory(f.directory, out, { context: CONTEXT, ...options });
    const host = await TestHost.open(out);
    try {
      return await work(host);
    } finally {
      await host.close();
    }
  });
}

async function inPieces(host: TestHost, tokens: readonly number[], sizes: readonly number[], position = 0) {
  const rows: Float32Array[] = [];
  for (let at = 0, n = 0; at < tokens.length; n++) {
    const size = sizes[n % sizes.length]!;
    rows.push(...(await host.forward(tokens.slice(at, at + size), position + at)));
    at += size;
  }
  return rows;
}

describe.each(fixtureNames())('%s in f32', (name) => {
  const f = fixture(name);
  const expected = f.logits.slice(0, f.prompt.length);

  it('gives the reference logits for a whole prompt in one padded chunk', async () => {
    await withModel(f, { chunk: 64 }, async (host) => {
      expect(worstError(await host.forward(f.prompt, 0), expected)).toBeLessThan(TOLERANCE);
    });
  });

  it('gives them in chunks, odd lengths and single steps, and after a rollback', async () => {
    await withModel(f, { chunk: 16 }, async (host) => {
      expect(worstError(await host.forward(f.prompt, 0), expected)).toBeLessThan(TOLERANCE);
      expect(worstError(await inPieces(host, f.prompt, [7, 1, 16, 3]), expected)).toBeLessThan(TOLERANCE);
      const branch = await inPieces(host, f.branch.tokens, [4, 1], f.branch.at);
      expect(worstError(branch, f.logits.slice(f.prompt.length))).toBeLessThan(TOLERANCE);
    });
  });

  it('writes the same 64 greedy tokens', async () => {
    await withModel(f, { chunk: 16, layersPerGraph: 2 }, async (host) => {
      let row = (await host.forward(f.prompt, 0)).at(-1)!;
      const written: number[] = [];
      while (written.length < f.greedy.length) {
        written.push(argmax(row));
        row = (await host.forward(written.slice(-1), f.prompt.length + written.length - 1)).at(-1)!;
      }
      expect(written).toEqual(f.greedy);
    });
  });
});
