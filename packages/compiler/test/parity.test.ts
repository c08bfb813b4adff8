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
/** Hidden states, keys and values rounded to 11 bits at every layer. Measured at most 0.020 (gemma3). */
const HALF_BOUNDARY = 0.04;
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

/** Heads whose width is no multiple of 8 attend alike in both. */
const ATTENTION: readonly CompileOptions[] = [{}, { lowering: 'fused', attention: 'grouped' }];

describe.each(fixtureNames().flatMap((name) => ATTENTION.map((form) => ({ name, ...form }))))(
  '%o in f32',
  ({ name, ...form }) => {
    const f = fixture(name);
    const expected = f.logits.slice(0, f.prompt.length);

    it('gives the reference logits for a whole prompt in one padded chunk', async () => {
      await withModel(f, { chunk: 64, ...form }, async (host) => {
        expect(worstError(await host.forward(f.prompt, 0), expected)).toBeLessThan(TOLERANCE);
      });
    });

    it('gives them in chunks, odd lengths and single steps, and after a rollback', async () => {
      await withModel(f, { chunk: 16, ...form }, async (host) => {
        expect(worstError(await host.forward(f.prompt, 0), expected)).toBeLessThan(TOLERANCE);
        expect(worstError(await inPieces(host, f.prompt, [7, 1, 16, 3]), expected)).toBeLessThan(TOLERANCE);
        const branch = await inPieces(host, f.branch.tokens, [4, 1], f.branch.at);
        expect(worstError(branch, f.logits.slice(f.prompt.length))).toBeLessThan(TOLERANCE);
      });
    });

    it('writes the same 64 greedy tokens', async () => {
      await withModel(f, { chunk: 16, layersPerGraph: 2, ...form }, async (host) => {
        let row = (await host.forward(f.prompt, 0)).at(-1)!;
        const written: number[] = [];
        while (written.length < f.greedy.length) {
          written.push(argmax(row));
          row = (await host.forward(written.slice(-1), f.prompt.length + written.length - 1)).at(-1)!;
        }
        expect(written).toEqual(f.greedy);
      });
    });
  },
);

// Windows, caps, partial rotation, tied and untied: the forms in which the layers of all families come.
describe.each(['qwen2', 'gemma3', 'phi4-mini', 'olmo2'])('%s', (name) => {
  const f = fixture(name);
  const expected = f.logits.slice(0, f.prompt.length);
  const after = f.logits.slice(f.prompt.length);

  it('gives the reference logits where the graphs write the cache themselves', async () => {
    await withModel(f, { chunk: 16, cacheUpdate: 'whole', layersPerGraph: 2 }, async (host) => {
      const decode = host.manifest.graphs.find((g) => g.role === 'decode' && g.capacity === CONTEXT)!;
      expect(decode.outputs.map((p) => p.name).slice(0, 2)).toEqual(['next_key.0', 'next_value.0']);
      expect(decode.outputs[0]!.dims[2]).toBe(CONTEXT);
      expect(worstError(await inPieces(host, f.prompt, [7, 1, 16, 3]), expected)).toBeLessThan(TOLERANCE);
      const branch = await inPieces(host, f.branch.tokens, [4, 1], f.branch.at);
      expect(worstError(branch, after)).toBeLessThan(TOLERANCE);
    });
  });

  it.each(['rows', 'whole'] as const)(
    'stays near them with f16 at the boundaries (%s)',
    async (cacheUpdate) => {
      await withModel(f, { chunk: 16, cacheUpdate, boundary: 'f16', layersPerGraph: 1 }, async (host) => {
        const { inputs, outputs } = host.manifest.graphs.find((g) => g.role === 'prefill')!;
        const f16 = [...inputs, ...outputs].filter((p) => p.dtype === 'f16').map((p) => p.name.split('.')[0]);
        const given = cacheUpdate === 'rows' ? ['key', 'value'] : ['next_key', 'next_value'];
        expect(f16).toEqual(['x', 'past_key', 'past_value', ...given, 'y']);
        expect(worstError(await inPieces(host, f.prompt, [7, 1, 16, 3]), expected)).toBeLessThan(
          HALF_BOUNDARY,
        );
        const branch = await inPieces(host, f.branch.tokens, [4, 1], f.branch.at);
        expect(worstError(branch, after)).toBeLessThan(HALF_BOUNDARY);
      });
    },
  );
});

it('gives the same logits at every capacity over the same weights', async () => {
  const f = fixture('mistral');
  await withFolder(async (folder) => {
    const out = path.join(folder, 'model');
    const { manifest } = await compileDirectory(f.directory, out, { context: [64, 256, 128], chunk: 16 });
    expect(manifest.capacities).toEqual([64, 128, 256]);
    expect(manifest.files.filter((file) => file.path.endsWith('.bin')).map((file) => file.path)).toEqual([
      'weights.bin',
      'embedding.bin',
    ]);
    for (const capacity of manifest.capacities) {
      const host = await TestHost.open(out, capacity);
      const rows = await host.forward(f.prompt, 0);
      await host.close();
      expect(worstError(rows, f.logits.slice(0, f.prompt.length))).toBeLessThan(TOLERANCE);
    }
  });
});
