// What onnx itself says of every graph: its checker and its shape inference, both full and strict, run by check-graphs.py (which
// says what is checked, and how MatMulNBits is known there). onnx is a Python package; where no Python has it, these tests
// are skipped and say so: BATON_PYTHON names one.
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { spawnSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CompileOptions } from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import { ModelProtoSchema, type ModelProto } from '../src/onnx/gen/onnx_pb.js';
import { fixture, fixtureNames, withFolder } from './fixtures.ts';

const python = process.env['BATON_PYTHON'] ?? 'python3';
const hasOnnx = spawnSync(python, ['-c', 'import onnx']).status === 0;
const WHY = `skipped, because ${python} has no onnx; npm test makes one that has where pip can`;

/** Every weight type in every lowering, and every other option that changes a graph. */
const FORMS: readonly CompileOptions[] = [
  ...(['f32', 'f16', 'int8', 'int4'] as const).flatMap((weights) =>
    (['portable', 'fused'] as const).map((lowering): CompileOptions => ({ weights, lowering })),
  ),
  { weights: 'int8', lowering: 'integer' },
  { weights: 'int8', lowering: 'integer', attention: 'primitive' },
  { lowering: 'fused', attention: 'grouped' },
  { weights: 'int4', lowering: 'fused', attention: 'grouped', boundary: 'f16', layersPerGraph: 2 },
  { weights: 'int4', lowering: 'fused', prefillWeights: 'bytes' },
  { weights: 'int4', group: 'channel' },
  { weights: 'int8', group: 'channel', lowering: 'fused' },
  { weights: 'int4', head: 'int4', keep: { '.down': 'f16' } },
  { cacheUpdate: 'whole', boundary: 'f16' },
  { layersPerGraph: 1, context: [24, 48] },
];

function check(folders: readonly string[]): ReturnType<typeof spawnSync> {
  return spawnSync(python, [path.join(import.meta.dirname, 'check-graphs.py'), ...folders], {
    encoding: 'utf8',
  });
}

describe.each(fixtureNames())('%s', (name) => {
  it(
    'satisfies the checker and the shape inference of onnx in every form',
    { timeout: 240_000 },
    async (test) => {
      if (!hasOnnx) test.skip(WHY);
      await withFolder(async (folder) => {
        let graphs = 0;
        const folders: string[] = [];
        for (const [i, form] of FORMS.entries()) {
          const out = path.join(folder, String(i));
          const options = { context: 32, chunk: 16, ...form };
          graphs += (await compileDirectory(fixture(name).directory, out, options)).manifest.graphs.length;
          folders.push(out);
        }
        const run = check(folders);
        expect(run.stderr).toBe('');
        expect(String(run.stdout).trim()).toBe(`${graphs} graphs are valid`);
      });
    },
  );
});

const attribute = (model: ModelProto, op: string, name: string) =>
  model.graph!.node.find((n) => n.opType === op)!.attribute.find((a) => a.name === name)!;

it.for<[string, (model: ModelProto) => void, RegExp, role?: string]>([
  [
    'a contrib operator with a wrong size',
    (m) => void (attribute(m, 'MatMulNBits', 'N').i += 8n),
    /MatMulNBits/,
  ],
  [
    'a contrib operator that it does not know',
    (m) => void (m.graph!.node.find((n) => n.domain)!.opType = 'QMoE'),
    /QMoE/,
  ],
  [
    'grouped attention over too few heads',
    (m) => void (attribute(m, 'GroupQueryAttention', 'kv_num_heads').i -= 1n),
    /GroupQueryAttention/,
    'prefill',
  ],
  [
    'a standard operator with a wrong axis',
    (m) => void (attribute(m, 'Concat', 'axis').i = 7n),
    /Concat|axis/,
  ],
  ['an output of another shape than declared', (m) => void declareWider(m), /declared|shape/i],
])('refuses %s', { timeout: 60_000 }, async ([, damage, message, role = 'decode'], test) => {
  if (!hasOnnx) test.skip(WHY);
  await withFolder(async (folder) => {
    await compileDirectory(fixture('qwen3').directory, path.join(folder, 'm'), {
      context: 32,
      chunk: 16,
      weights: 'int4',
      lowering: 'fused',
      attention: 'grouped',
    });
    const file = path.join(folder, 'm', `${role}-32-0-2.onnx`);
    const model = fromBinary(ModelProtoSchema, await readFile(file));
    damage(model);
    await writeFile(file, toBinary(ModelProtoSchema, model));
    const run = check([path.join(folder, 'm')]);
    expect(run.status).not.toBe(0);
    expect(String(run.stderr)).toMatch(message);
  });
});

function declareWider(model: ModelProto): void {
  const { value } = model.graph!.output[0]!.type!.value as {
    value: { shape: { dim: { value: { value: bigint } }[] } };
  };
  value.shape.dim.at(-1)!.value.value += 1n;
}
