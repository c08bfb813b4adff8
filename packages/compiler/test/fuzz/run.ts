// Compiles and compares the checkpoints that make-checkpoints.py drew: `node packages/compiler/test/fuzz/run.ts FOLDER`.
// f32 against transformers' logits, whole and in odd pieces; every smaller form against the f32 graphs with the very weights
// that it stores, so that nothing but the lowering is judged. Prints a line per checkpoint, the worst of each column at the
// end, and exits 1 when one is over its bound.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { CompileOptions, Manifest } from '../../src/index.ts';
import { compileDirectory } from '../../src/node/index.ts';
import { withFolder, worstError } from '../fixtures.ts';
import { TestHost } from '../host.ts';
import { keepActivations, putStoredWeights } from '../stored-values.ts';

const BOUND = 1e-3;
const SIZE = { context: 64, chunk: 16 } as const;

const FORMS: readonly [name: string, options: CompileOptions][] = [
  ['f16', { weights: 'f16' }],
  ['int8', { weights: 'int8' }],
  ['int8 fused', { weights: 'int8', lowering: 'fused' }],
  ['int8 channel', { weights: 'int8', group: 'channel' }],
  ['int4', { weights: 'int4' }],
  ['int4 fused', { weights: 'int4', lowering: 'fused' }],
  ['int4 fused channel', { weights: 'int4', lowering: 'fused', group: 'channel' }],
  ['int4 128', { weights: 'int4', group: 128, layersPerGraph: 1 }],
];

async function logitsOf(
  folder: string,
  ids: readonly number[],
  sizes: readonly number[],
): Promise<Float32Array[]> {
  const host = await TestHost.open(folder);
  try {
    const rows: Float32Array[] = [];
    for (let at = 0, n = 0; at < ids.length; n++) {
      const part = ids.slice(at, at + sizes[n % sizes.length]!);
      rows.push(...(await host.forward(part, at)));
      at += part.length;
    }
    return rows;
  } finally {
    await host.close();
  }
}

async function check(directory: string): Promise<Record<string, number>> {
  const ids = JSON.parse(readFileSync(path.join(directory, 'ids.json'), 'utf8')) as number[];
  const bytes = readFileSync(path.join(directory, 'reference.bin'));
  const all = new Float32Array(new Uint8Array(bytes).buffer);
  const width = all.length / ids.length;
  const expected = ids.map((_, r) => all.subarray(r * width, (r + 1) * width));
  return withFolder(async (folder) => {
    const errors: Record<string, number> = {};
    const compiled = async (name: string, options: CompileOptions): Promise<[Manifest, string]> => {
      const out = path.join(folder, name.replaceAll(' ', '-'));
      return [(await compileDirectory(directory, out, { ...SIZE, ...options })).manifest, out];
    };
    const [plain, plainFolder] = await compiled('f32', {});
    errors['f32'] = worstError(await logitsOf(plainFolder, ids, [ids.length]), expected);
    errors['f32 pieces'] = worstError(await logitsOf(plainFolder, ids, [7, 1, 13, 1, 2]), expected);
    for (const [name, options] of FORMS) {
      const [manifest, out] = await compiled(name, options);
      if (options.lowering === 'fused') await keepActivations(manifest, out);
      await putStoredWeights(plain, plainFolder, manifest, out);
      const stored = await logitsOf(plainFolder, ids, [ids.length]);
      errors[name] = worstError(await logitsOf(out, ids, [ids.length]), stored);
    }
    return errors;
  });
}

const root = process.argv[2];
if (!root) {
  console.error('usage: run.ts FOLDER (made by make-checkpoints.py)');
  process.exit(1);
}
const worst: Record<string, number> = {};
let failed = 0;
for (const name of readdirSync(root).toSorted()) {
  try {
    const errors = await check(path.join(root, name));
    for (const [form, e] of Object.entries(errors)) worst[form] = Math.max(worst[form] ?? 0, e);
    const over = Object.entries(errors).filter(([, e]) => !(e < BOUND));
    if (over.length > 0) failed++;
    const what = over.map(([form, e]) => `${form} ${e.toExponential(1)}`).join(', ');
    console.log(`${name}: ${over.length === 0 ? 'ok' : `OVER ${what}`}`);
  } catch (error) {
    failed++;
    console.log(`${name}: FAILED ${(error as Error).message}`);
  }
}
console.log(
  'worst:',
  Object.entries(worst)
    .map(([form, e]) => `${form} ${e.toExponential(1)}`)
    .join(', '),
);
process.exitCode = failed > 0 ? 1 : 0;
