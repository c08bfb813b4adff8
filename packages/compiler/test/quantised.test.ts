// Compiled models with smaller weights: that graphs compute with exactly what is stored, that both lowerings store the same
// integers, and what is reported about them.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as ort from 'onnxruntime-node';
import { integerProductsAreExact, type CompileOptions, type Manifest } from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import { fixture, fixtureNames, withFolder, worstError } from './fixtures.ts';
import { TestHost } from './host.ts';
import { integers, keepActivations, putStoredWeights } from './stored-values.ts';

/** A tiny random network multiplies small errors; against the same rounded weights in f32 the graphs must be exact. */
const EXACT = 1e-4;
/** MatMulNBits also rounds activations to 8 bits, per block of inputs. Measured at most 0.24 (gemma3). */
const ROUNDED_ACTIVATIONS = 0.4;
/** f16 weights against f32 weights, measured at most 5.4e-3 (llama3). */
const HALF = 1e-2;

async function compiled<T>(
  name: string,
  options: CompileOptions,
  work: (manifest: Manifest, folder: string) => Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const out = path.join(folder, 'model');
    const { manifest } = await compileDirectory(fixture(name).directory, out, {
      context: 128,
      chunk: 16,
      ...options,
    });
    return work(manifest, out);
  });
}

async function logitsOf(folder: string, name: string): Promise<Float32Array[]> {
  const host = await TestHost.open(folder);
  try {
    return await host.forward(fixture(name).prompt, 0);
  } finally {
    await host.close();
  }
}

/** Logits of the f32 graphs with the weights that a quantised model really has. */
async function logitsWithWeightsOf(
  quantised: Manifest,
  quantisedFolder: string,
  name: string,
): Promise<Float32Array[]> {
  return compiled(name, {}, async (plain, folder) => {
    await putStoredWeights(plain, folder, quantised, quantisedFolder);
    return logitsOf(folder, name);
  });
}

describe.each(fixtureNames())('%s', (name) => {
  it.each([
    ['int8', 'portable', EXACT],
    ['int4', 'portable', EXACT],
    ['int8', 'fused', ROUNDED_ACTIVATIONS],
    ['int4', 'fused', ROUNDED_ACTIVATIONS],
  ] as const)(
    'computes with exactly the %s weights that it stores (%s)',
    async (weights, lowering, bound) => {
      await compiled(name, { weights, lowering }, async (manifest, folder) => {
        const expected = await logitsWithWeightsOf(manifest, folder, name);
        expect(worstError(await logitsOf(folder, name), expected)).toBeLessThan(bound);
        if (lowering === 'portable') return;
        await keepActivations(manifest, folder);
        expect(worstError(await logitsOf(folder, name), expected)).toBeLessThan(EXACT);
      });
    },
  );

  it('stays near the reference in f16', async () => {
    await compiled(name, { weights: 'f16' }, async (_, folder) => {
      const f = fixture(name);
      expect(worstError(await logitsOf(folder, name), f.logits.slice(0, f.prompt.length))).toBeLessThan(HALF);
    });
  });
});

it.each(['portable', 'fused'] as const)('works with one scale per output channel (%s)', async (lowering) => {
  await compiled('qwen2', { weights: 'int8', group: 'channel', lowering }, async (manifest, folder) => {
    const { group, dims } = manifest.tensors['layers.0.down']!;
    expect(group).toBe(lowering === 'portable' ? dims[1] : 16);
    const expected = await logitsWithWeightsOf(manifest, folder, 'qwen2');
    const bound = lowering === 'portable' ? EXACT : ROUNDED_ACTIVATIONS;
    expect(worstError(await logitsOf(folder, 'qwen2'), expected)).toBeLessThan(bound);
  });
});

describe('the integer lowering', async () => {
  const exact = await integerProductsAreExact(ort);

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'is told apart on processors whose products of bytes saturate',
    async () => {
      expect(exact).toBe(/vnni/.test(await readFile('/proc/cpuinfo', 'utf8')));
    },
  );

  it.runIf(exact).each(fixtureNames())(
    'multiplies the stored integers by rows of 8-bit activations (%s)',
    async (name) => {
      await compiled(name, { weights: 'int8', lowering: 'integer' }, async (manifest, folder) => {
        const { group, dims, zeroPoint } = manifest.tensors['layers.0.down']!;
        expect([group, zeroPoint]).toEqual([dims[1], 0]);
        const expected = await logitsWithWeightsOf(manifest, folder, name);
        expect(worstError(await logitsOf(folder, name), expected)).toBeLessThan(ROUNDED_ACTIVATIONS);
      });
    },
  );

  it('refuses what it has no integers for', async () => {
    const refused = (options: CompileOptions) =>
      compiled('qwen2', { lowering: 'integer', ...options }, async () => undefined);
    await expect(refused({ weights: 'int4' })).rejects.toThrow(
      /lowering integer does not go with int4.*choose/,
    );
    await expect(refused({})).rejects.toThrow(/lowering integer does not go with f32.*choose/);
    await expect(refused({ weights: 'int8', group: 32 })).rejects.toThrow(/group is 32; choose channel/);
  });
});

describe('prefill weights as bytes', () => {
  it.each(fixtureNames())('multiply the same integers with the same scales (%s)', async (name) => {
    const options = { weights: 'int4', lowering: 'fused' } as const;
    await compiled(name, { ...options, prefillWeights: 'bytes' }, async (bytes, bytesFolder) => {
      expect(bytes.prefillWeights).toBe('bytes');
      await compiled(name, options, async (stored, storedFolder) => {
        // Byte for byte the same weights, so that nothing but the order of sums is left to differ.
        const [a, b] = [bytes, stored].map((m) => m.files.find((f) => f.path === m.weightsFile));
        expect(a).toEqual(b);
        const unlike = bytes.files.filter((f, i) => f.sha256 !== stored.files[i]!.sha256);
        // A family whose rotation changes with the length has a set of graphs more.
        expect(unlike.length).toBeGreaterThan(0);
        expect(unlike.filter((f) => !f.path.startsWith('prefill-'))).toEqual([]);
        expect(
          worstError(await logitsOf(bytesFolder, name), await logitsOf(storedFolder, name)),
        ).toBeLessThan(ROUNDED_ACTIVATIONS);
        await keepActivations(bytes, bytesFolder);
        await keepActivations(stored, storedFolder);
        expect(
          worstError(await logitsOf(bytesFolder, name), await logitsOf(storedFolder, name)),
        ).toBeLessThan(EXACT);
      });
    });
  });

  it('are refused where there is nothing to unpack', async () => {
    const refused = (options: CompileOptions) =>
      compiled('qwen2', { prefillWeights: 'bytes', ...options }, async () => undefined);
    await expect(refused({ weights: 'int4' })).rejects.toThrow(
      /prefillWeights is bytes.*not int4 in portable; choose stored/,
    );
    await expect(refused({ weights: 'int8', lowering: 'fused' })).rejects.toThrow(
      /prefillWeights is bytes.*not int8 in fused; choose stored/,
    );
  });
});

describe('grouped attention', () => {
  it('is refused where there is no such operator or no rows to give', async () => {
    const refused = (options: CompileOptions) =>
      compiled('qwen3', { attention: 'grouped', ...options }, async () => undefined);
    await expect(refused({})).rejects.toThrow(/attention is grouped.*portable.*choose fused or integer/);
    await expect(refused({ lowering: 'fused', cacheUpdate: 'whole' })).rejects.toThrow(
      /attention is grouped.*whole cache; choose cacheUpdate rows/,
    );
  });

  it.each([
    ['qwen3', 'grouped'],
    ['qwen2', 'primitive'],
  ] as const)(
    'is used where heads are multiples of 8 numbers, and the manifest says so (%s)',
    async (name, used) => {
      await compiled(name, { lowering: 'fused', attention: 'grouped' }, async ({ attention, graphs }) => {
        expect(attention).toBe(used);
        const inputs = (role: string) => graphs.find((g) => g.role === role)!.inputs.map((i) => i.name);
        expect(inputs('prefill').includes('total')).toBe(used === 'grouped');
        expect(inputs('decode')).toContain('mask.0');
      });
    },
  );
});

it.each(['int4', 'int8'] as const)(
  'holds the same %s integers and scales in both lowerings',
  async (weights) => {
    await compiled('qwen2', { weights }, async (portable, portableFolder) => {
      await compiled('qwen2', { weights, lowering: 'fused' }, async (fused, fusedFolder) => {
        for (const [name, tensor] of Object.entries(portable.tensors)) {
          if (!tensor.scales) continue;
          const a = await integers(portable, portableFolder, name);
          expect(await integers(fused, fusedFolder, name)).toEqual(a);
          expect(new Set(a).size).toBeGreaterThan(10);
          const scales = async (m: Manifest, folder: string) => {
            const { file, scales } = m.tensors[name]!;
            return (await readFile(path.join(folder, file))).subarray(
              scales!.offset,
              scales!.offset + scales!.bytes,
            );
          };
          expect((await scales(fused, fusedFolder)).equals(await scales(portable, portableFolder))).toBe(
            true,
          );
        }
      });
    });
  },
);

it('reports the error of each tensor and keeps those wider that it is told to', async () => {
  const keep = { '.down': 'int8', 'layers.1.query': 'f32' } as const;
  await compiled('qwen2', { weights: 'int4', keep }, async ({ tensors }) => {
    expect(tensors['layers.0.down']!.dtype).toBe('int8');
    expect(tensors['layers.1.query']).toMatchObject({ dtype: 'f32', relativeError: 0 });
    expect(tensors['layers.0.query']).toMatchObject({ dtype: 'int4', group: 16, zeroPoint: 0 });
    expect(tensors['layers.0.query']!.relativeError).toBeGreaterThan(0.03);
    expect(tensors['layers.0.query']!.relativeError).toBeLessThan(0.12);
    expect(tensors['layers.0.down']!.relativeError).toBeLessThan(0.01);
    expect(tensors['head']!.dtype).toBe('int8');
  });
});

it('finds the tensors that a type hurts more than allowed, and keeps those wider', async () => {
  const errors = await compiled('qwen2', { weights: 'int4' }, async ({ tensors }) =>
    Object.entries(tensors)
      .filter(([, t]) => t.dtype === 'int4')
      .map(([name, t]) => ({ name, error: t.relativeError! }))
      .toSorted((a, b) => a.error - b.error),
  );
  const middle = errors[errors.length >> 1]!.error;
  const asked = { weights: 'int4', keepAbove: middle, keep: { [errors[0]!.name]: 'f32' } } as const;
  await compiled('qwen2', asked, async (manifest, folder) => {
    for (const { name, error } of errors.slice(1)) {
      expect(manifest.tensors[name]!.dtype, name).toBe(error > middle ? 'int8' : 'int4');
      expect(manifest.tensors[name]!.relativeError).toBeLessThanOrEqual(middle);
    }
    // What was asked for by name stays.
    expect(manifest.tensors[errors[0]!.name]!.dtype).toBe('f32');
    expect((await logitsOf(folder, 'qwen2')).every((row) => row.every(Number.isFinite))).toBe(true);
  });
  // Below what 8 bits can do, f16; a tied table that was shared is then two.
  await compiled('qwen3', { weights: 'int4', keepAbove: 1e-4, head: 'int4' }, async ({ tensors }) => {
    expect(new Set(Object.values(tensors).map((t) => t.dtype))).toEqual(new Set(['f32', 'f16']));
  });
});

it('stores a tied table once', async () => {
  await compiled('qwen3', { weights: 'int4' }, async (manifest) => {
    expect(manifest.embedding.tensor).toBe('head');
    expect(manifest.files.map((f) => f.path)).not.toContain('embedding.bin');
  });
  await compiled('qwen3', { weights: 'int4', head: 'int4' }, async (manifest, folder) => {
    expect(manifest.embedding.tensor).toBe('embedding');
    const expected = await logitsOf(folder, 'qwen3');
    expect(expected.every((row) => row.every(Number.isFinite))).toBe(true);
  });
});
