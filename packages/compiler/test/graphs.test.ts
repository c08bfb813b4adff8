// What every graph promises, whatever the family: opset 21, constant shapes, rank at most 4, no control flow, operators that
// OpenVINO reads, layers alike, weights inside the shared file; and what onnx's own checker says where Python has it.
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { unsupportedByOpenvino, WATCHED, type CompileOptions, type Manifest } from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import { ModelProtoSchema, type ModelProto } from '../src/onnx/gen/onnx_pb.js';
import { argmax, fixture, fixtureNames, withFolder } from './fixtures.ts';
import { TestHost } from './host.ts';

const SMALL: CompileOptions = { context: [32, 128], chunk: 16 };

async function graphsOf<T>(
  name: string,
  options: CompileOptions,
  work: (
    graphs: { file: string; bytes: Uint8Array; model: ModelProto }[],
    manifest: Manifest,
    folder: string,
  ) => T | Promise<T>,
): Promise<T> {
  return withFolder(async (folder) => {
    const out = path.join(folder, 'model');
    const { manifest } = await compileDirectory(fixture(name).directory, out, { ...SMALL, ...options });
    const graphs = await Promise.all(
      manifest.graphs.map(async ({ file }) => {
        const bytes = await readFile(path.join(out, file));
        return { file, bytes, model: fromBinary(ModelProtoSchema, bytes) };
      }),
    );
    return work(graphs, manifest, out);
  });
}

describe.each(fixtureNames())('%s', (name) => {
  it.each(['portable', 'fused'] as const)(
    'is static, flat and readable by OpenVINO (%s)',
    async (lowering) => {
      await graphsOf(name, { lowering, weights: 'int4' }, (graphs) => {
        for (const { bytes, model } of graphs) {
          expect(model.opsetImport.find((o) => o.domain === '')!.version).toBe(21n);
          const graph = model.graph!;
          for (const port of [...graph.input, ...graph.output]) {
            const { value } = port.type!.value as {
              value: { shape: { dim: { value: { case: string; value: bigint } }[] } };
            };
            expect(value.shape.dim.length).toBeLessThanOrEqual(4);
            for (const { value: d } of value.shape.dim)
              expect(d.case === 'dimValue' && d.value > 0n).toBe(true);
          }
          if (lowering === 'portable')
            expect(new Set(graph.node.map((n) => n.domain))).toEqual(new Set(['']));
          expect(unsupportedByOpenvino(bytes)).toEqual([]);
        }
      });
    },
  );

  it('repeats one layer: the same operators in the same order', async () => {
    await graphsOf(name, {}, (graphs, manifest) => {
      for (const { model, file } of graphs) {
        if (!/^(prefill|decode)/.test(file)) continue;
        const sequences = new Map<string, string>();
        manifest.architecture.layers.forEach((layer, i) => {
          const own = model.graph!.node.filter((n) => n.name.startsWith(`layers.${i}/`)).map((n) => n.opType);
          // A layer without rotation has its own form; it is the family's.
          const kind = String(layer.rope === null);
          expect(sequences.get(kind) ?? own.join()).toBe(own.join());
          sequences.set(kind, own.join());
        });
      }
    });
  });
});

it('names what OpenVINO would not read', async () => {
  await graphsOf('llama3', { weights: 'int4' }, (graphs) => {
    const { model } = graphs[0]!;
    const [first, second] = model.graph!.node;
    first!.opType = 'Loop';
    Object.assign(second!, { opType: 'QMoE', domain: 'com.microsoft' });
    expect(unsupportedByOpenvino(toBinary(ModelProtoSchema, model))).toEqual(['Loop', 'com.microsoft.QMoE']);
  });
});

it('keeps all weights of all graphs in one file, inside its bounds', async () => {
  await graphsOf('qwen3', { weights: 'int8' }, (graphs, manifest) => {
    const size = manifest.files.find((f) => f.path === manifest.weightsFile)!.bytes;
    const ranges = graphs.flatMap(({ model }) =>
      model.graph!.initializer.filter((t) => t.externalData.length > 0),
    );
    expect(ranges.length).toBeGreaterThan(0);
    for (const { externalData } of ranges) {
      const field = (key: string) => externalData.find((e) => e.key === key)!.value;
      expect(field('location')).toBe(manifest.weightsFile);
      expect(Number(field('offset')) + Number(field('length'))).toBeLessThanOrEqual(size);
    }
  });
});

it('cuts the decoder into groups of layers', async () => {
  await graphsOf('qwen2', { layersPerGraph: 2, context: 32 }, (graphs, manifest) => {
    expect(graphs.length).toBe(8);
    const decode = manifest.graphs.filter((g) => g.role === 'decode');
    expect(decode.map((g) => [g.firstLayer, g.lastLayer])).toEqual([
      [0, 1],
      [2, 2],
    ]);
    expect(decode[1]!.inputs.map((p) => p.name)).toEqual([
      'x',
      'cos.0',
      'sin.0',
      'mask.0',
      'past_key.2',
      'past_value.2',
    ]);
  });
});

it('gives watched logits, log-sum-exp and arg-max without the vocabulary leaving the graph', async () => {
  await withFolder(async (folder) => {
    const f = fixture('gemma2');
    const out = path.join(folder, 'model');
    await compileDirectory(f.directory, out, { context: 128, chunk: 16 });
    const host = await TestHost.open(out);
    const tokens = f.prompt.slice(0, 11);
    const ids = [5, 77, 126];
    const rows = await host.columns(tokens, 0, ids);
    const logits = f.logits.slice(0, tokens.length);
    rows.forEach((row, r) => {
      const expected = logits[r]!;
      const sum = Math.log(expected.reduce((n, x) => n + Math.exp(x), 0));
      expect(row.logSumExp).toBeCloseTo(sum, 3);
      expect(row.argmax).toBe(argmax(expected));
      expect(row.max).toBeCloseTo(expected[argmax(expected)]!, 3);
      ids.forEach((id, i) => expect(row.chosen[i]).toBeCloseTo(expected[id]!, 3));
    });
    await host.close();
  });
  expect(WATCHED).toBeGreaterThan(2);
});

const python = ['BATON_PYTHON', '']
  .map((v) => (v ? process.env[v] : 'python3'))
  .find((p) => {
    return p !== undefined && spawnSync(p, ['-c', 'import onnx']).status === 0;
  });

// onnx is a Python package; without it the structural tests above still stand.
it.skipIf(python === undefined)(
  'satisfies the checker and the shape inference of onnx',
  { timeout: 180_000 },
  async () => {
    await withFolder(async (folder) => {
      const folders: string[] = [];
      for (const name of fixtureNames()) {
        for (const weights of ['f32', 'f16', 'int8', 'int4'] as const) {
          const out = path.join(folder, `${name}-${weights}`);
          await compileDirectory(fixture(name).directory, out, { context: 32, chunk: 16, weights });
          folders.push(out);
        }
      }
      const run = spawnSync(python!, [path.join(import.meta.dirname, 'check-graphs.py'), ...folders], {
        encoding: 'utf8',
      });
      expect(run.stderr).toBe('');
      expect(run.stdout.trim()).toBe(`${folders.length * 6} graphs are valid`);
    });
  },
);
