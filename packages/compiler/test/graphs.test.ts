// What every graph promises, whatever the family: opset 21, constant shapes, rank at most 4, no control flow, operators that
// OpenVINO reads, layers alike, finite masks, weights inside the shared file. What onnx's own checker says of them is in
// checker.test.ts.
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  MASKED,
  pastMask,
  unsupportedByOpenvino,
  WATCHED,
  type CompileOptions,
  type Manifest,
} from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import {
  ModelProtoSchema,
  TensorProto_DataType,
  type ModelProto,
  type NodeProto,
} from '../src/onnx/gen/onnx_pb.js';
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

/** Where the last layer goes on with some of its rows: what it gives counts as what it is given. */
const isPick = (n: NodeProto): boolean => n.opType === 'Gather' && n.input[1] === 'picked';

/** What layer `i` of a graph is made of, with everything that may differ between layers taken out of the names. */
function layerOutline(
  model: ModelProto,
  i: number,
  { mask, rope }: Manifest['architecture']['layers'][number],
): string[] {
  const { node: all, initializer } = model.graph!;
  const given = new Map(all.filter(isPick).map((n) => [n.output[0]!, n.input[0]!]));
  const node = all
    .filter((n) => !isPick(n))
    .map((n) => ({ ...n, input: n.input.map((name) => given.get(name) ?? name) }));
  const mine = `layers.${i}`;
  const nodes = node.filter((n) => n.name.startsWith(`${mine}/`) || n.name.startsWith(`${mine}.`));
  const caches = node.filter((n) => new RegExp(`^(past_|next_)?(key|value)\\.${i}/`).test(n.name));
  const produced = new Set(node.flatMap((n) => n.output));
  const constants = new Map(initializer.map((t) => [t.name, t]));
  const own = [mine, `mask.${mask}`, `causal.${mask}`, `cos.${rope}`, `sin.${rope}`];
  const plain = (name: string): string => {
    const constant = constants.get(name);
    const shape = constant ? ` ${constant.dataType}[${constant.dims.join()}]` : '';
    if (produced.has(name) && !name.startsWith(mine) && !name.endsWith(`.${i}/f32`)) return 'stream';
    const known = own.find((o) => name === o || name.startsWith(`${o}.`) || name.startsWith(`${o}/`));
    const general = known === undefined ? name : known.replace(/\d+$/, 'N') + name.slice(known.length);
    return general.replace(new RegExp(`^((?:past_|next_)?(?:key|value))\\.${i}(?=/|$)`), '$1.N') + shape;
  };
  return [...caches, ...nodes].map((n) => {
    const attributes = n.attribute.map((a) => `${a.name}=${a.i}/${a.f}/${a.ints.join()}`);
    return `${n.domain}:${n.opType}(${attributes}) ${n.input.map(plain)} -> ${n.output.map(plain)}`;
  });
}

function floatsOf(raw: Uint8Array): Float32Array {
  return new Float32Array(new Uint8Array(raw).buffer);
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

  it.each([
    {},
    { weights: 'int4' },
    { weights: 'int4', lowering: 'fused' },
    { weights: 'int4', lowering: 'fused', prefillWeights: 'bytes' },
    { lowering: 'fused', attention: 'grouped' },
    { weights: 'int8', group: 'channel', cacheUpdate: 'whole', boundary: 'f16' },
  ] as const)('repeats one layer: operators, attributes, wiring and shapes alike (%o)', async (options) => {
    await graphsOf(name, options, (graphs, manifest) => {
      for (const { model, file } of graphs) {
        if (!/^(prefill|decode)/.test(file)) continue;
        const picks = model.graph!.node.filter(isPick).map((n) => n.name);
        const { attention, architecture } = manifest;
        const last = `layers.${architecture.layers.length - 1}/picked_`;
        expect(picks).toEqual(
          attention === 'grouped' && file.startsWith('prefill') ? [`${last}heard`, `${last}x`] : [],
        );
        const kinds = new Map<string, string[]>();
        for (const [i, layer] of manifest.architecture.layers.entries()) {
          const own = layerOutline(model, i, layer);
          // A layer without rotation has its own form; it is the family's. Grouped attention has its window in an attribute.
          const windowed = manifest.attention === 'grouped' && manifest.masks[layer.mask]!.window;
          const kind = String([layer.rope === null, windowed]);
          expect(own).toEqual(kinds.get(kind) ?? own);
          kinds.set(kind, own);
          expect(own.length).toBeGreaterThan(20);
        }
      }
    });
  });

  it('masks with finite numbers that f16 holds too', async () => {
    await graphsOf(name, { boundary: 'f16' }, (graphs, manifest) => {
      const F16_MAX = 65504;
      for (const { model } of graphs) {
        for (const t of model.graph!.initializer) {
          if (t.dataType !== TensorProto_DataType.FLOAT || t.externalData.length > 0) continue;
          const values = floatsOf(t.rawData);
          expect(
            values.every((x) => Number.isFinite(x)),
            t.name,
          ).toBe(true);
          if (!t.name.startsWith('causal.')) continue;
          expect([...new Set(values)].toSorted((a, b) => b - a)).toEqual([0, MASKED]);
        }
      }
      for (const { window } of manifest.masks) {
        for (const [stored, length] of [
          [0, 1],
          [0, 16],
          [9, 1],
          [17, 16],
          [128, 1],
        ] as const) {
          const mask = pastMask(window, stored, length, 128);
          expect(mask.every((x) => x === 0 || x === MASKED)).toBe(true);
        }
      }
      // A masked score stays finite in f16 when a score is added to it, and a row of nothing else is still told apart.
      expect(MASKED - 3e4).toBeGreaterThan(-F16_MAX);
      expect(new Float16Array([MASKED])[0]).toBe(MASKED);
      expect(Math.exp(MASKED)).toBe(0);
    });
  });
});

it('tells layers apart that differ in an attribute, a constant or their wiring', async () => {
  await graphsOf('qwen2', { weights: 'int4' }, (graphs, manifest) => {
    const layers = manifest.architecture.layers;
    const bytes = graphs.find((g) => g.file.startsWith('prefill'))!.bytes;
    const outlines = (damage: (model: ModelProto) => void) => {
      const model = fromBinary(ModelProtoSchema, bytes);
      damage(model);
      return [layerOutline(model, 0, layers[0]!), layerOutline(model, 1, layers[1]!)];
    };
    const [first, second] = outlines(() => undefined);
    expect(second).toEqual(first);
    const of = (model: ModelProto, op: string) =>
      model.graph!.node.find((n) => n.name.startsWith('layers.1/') && n.opType === op)!;
    for (const damage of [
      (m: ModelProto) => void (of(m, 'Softmax').attribute[0]!.i = 2n),
      (m: ModelProto) => void (of(m, 'Add').input[1] = 'layers.1/query'),
      (m: ModelProto) => void (m.graph!.initializer.find((t) => t.name === 'layers.1.gate')!.dims[0]! -= 8n),
    ]) {
      const [one, other] = outlines(damage);
      expect(other).not.toEqual(one);
    }
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
