// One suite for the adapter on any implementation of openvino-node's declarations: the named double in
// test/openvino-double, and the module itself wherever its binary loads (else it is reported as skipped, with the reason).
// First what the adapter relies on and has to survive, then the adapter: numbers against transformers, caches, devices.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { BackendLostError, Decoder, openModel, RuntimeError, type Backend } from '@baton/runtime';
import { openOrtCpu } from '@baton/runtime/node';
import type { CompileOptions, Manifest } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import type { InferRequest, Tensor } from 'openvino-node/types/addon.d.ts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fixture, fixtureNames, worstError, type Fixture } from '../../../packages/compiler/test/fixtures.ts';
import {
  addon as double,
  MODULE,
  play,
  type DoubleEvent,
  type DoubleSettings,
} from '../../test/openvino-double/index.ts';
import { DoubleAsyncInferQueue } from '../../test/openvino-double/queue.ts';
import { DoubleTensor } from '../../test/openvino-double/tensor.ts';
import { alive } from '@baton/runtime/process-alive';
import { fixedInputs } from './chunk-test.ts';
import { deviceOf, OPENVINO_TARGETS, type OpenvinoTarget } from './device.ts';
import { loadOpenvino, type Openvino } from './load.ts';
import { openvinoTargets } from './targets.ts';

interface Implementation {
  name: string;
  addon: Openvino;
  /** Where the compiling child finds it; null: openvino-node itself. */
  module: string | null;
}

// Many tests start a process or two that load the whole compiler; on a busy machine that takes its time.
vi.setConfig({ testTimeout: 180_000 });

// Before anything asks the double for its devices.
const PLAYED: DoubleSettings = { devices: ['CPU', 'NPU'], runMs: { NPU: 5 } };
play(PLAYED);
const real = loadOpenvino();
const DOUBLE: Implementation = { name: 'test double over onnxruntime-node', addon: double, module: MODULE };
const REAL: Implementation | null = real.addon && {
  name: `openvino-node (${real.reason})`,
  addon: real.addon,
  module: null,
};

let folder: string;
let log: string;
const before = { ...process.env };
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-openvino-'));
  process.env.BATON_CACHE = path.join(folder, 'cache');
  log = path.join(folder, 'double.log');
  play({ ...PLAYED, log });
});
afterEach(async () => {
  process.env.BATON_CACHE = before.BATON_CACHE;
  if (before.BATON_CACHE === undefined) delete process.env.BATON_CACHE;
  await rm(folder, { recursive: true, force: true });
});

/** The double with faults. */
function playing(faults: DoubleSettings): void {
  play({ ...PLAYED, log, ...faults });
}

function events(): DoubleEvent[] {
  if (!existsSync(log)) return [];
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as DoubleEvent);
}

interface Model {
  manifest: Manifest;
  files: DirectoryFiles;
}

const CONTEXT = 128;

async function compiled(name: string, options: CompileOptions = {}): Promise<Model & Fixture> {
  const f = fixture(name);
  const out = path.join(folder, `${name}-${JSON.stringify(options).replace(/\W+/g, '-')}`);
  const { manifest } = await compileDirectory(f.directory, out, { context: CONTEXT, chunk: 16, ...options });
  return { ...f, manifest, files: new DirectoryFiles(out) };
}

function memoryFacts() {
  const facts = new Map<string, unknown>();
  return {
    map: facts,
    get: async (k: string) => facts.get(k),
    set: async (k: string, v: unknown) => void facts.set(k, v),
  };
}

/** Opens the model as the bridge does. */
async function open(
  { addon, module }: Implementation,
  target: OpenvinoTarget,
  { manifest, files }: Model,
  { facts = memoryFacts(), lines = [] as string[] } = {},
): Promise<Backend> {
  const targets = openvinoTargets({
    facts,
    ...(module === null ? {} : { addon: { addon, module } }),
    onProgress: (line) => lines.push(line),
  });
  return targets.open(target, manifest, files);
}

/** Logits of every token of `tokens`, ingested in pieces of these sizes. */
async function logitsOf(
  backend: Backend,
  tokens: readonly number[],
  sizes: readonly number[],
): Promise<Float32Array[]> {
  // Every position is compared with the whole prompt's: where rotation goes by the length, all of it is under one table.
  const capacity = backend.rotationChanges?.at(-1);
  const decoder = await Decoder.create(backend, capacity === undefined ? {} : { capacity });
  try {
    const rows: Float32Array[] = [];
    for (let at = 0, n = 0; at < tokens.length; n++) {
      const piece = tokens.slice(at, at + sizes[n % sizes.length]!);
      const { logits } = await decoder.ingest(piece, { logits: 'all' });
      for (let r = 0; r < piece.length; r++)
        rows.push(logits!.slice(r * backend.vocabSize, (r + 1) * backend.vocabSize));
      at += piece.length;
    }
    return rows;
  } finally {
    await decoder.close();
  }
}

function suite(it_: Implementation): void {
  const { addon } = it_;

  describe('what openvino-node does', () => {
    /** The decode graph of a small model, on the CPU. */
    async function decodeGraph() {
      const { manifest, files } = await compiled('llama3', { context: 32 });
      const graph = manifest.graphs.find((g) => g.role === 'decode')!;
      const model = await new addon.Core().compileModel(path.join(files.directory, graph.file), 'CPU', {
        PERFORMANCE_HINT: 'LATENCY',
      });
      const feeds = Object.entries(fixedInputs(graph)).map(([name, tensor]): [string, Tensor] => {
        const array = (tensor.data as Float32Array).slice();
        return [name, new addon.Tensor('f32', [...tensor.dims], array)];
      });
      return { graph, model, inputs: Object.fromEntries(feeds) };
    }

    it('shares the memory of an array that owns its whole buffer, and refuses any other', () => {
      const array = new Float32Array([1, 2, 3, 4]);
      const tensor = new addon.Tensor('f32', [2, 2], array);
      array[3] = 40;
      expect([...(tensor.data as Float32Array)]).toEqual([1, 2, 3, 40]);
      expect(() => new addon.Tensor('f32', [2], array.subarray(2))).toThrow();
      expect(() => new addon.Tensor('f32', [2], array.subarray(0, 2))).toThrow();
    });

    it('gives a copy as .data, and fills a tensor from the start of a view’s buffer', () => {
      const tensor = new addon.Tensor('f32', [2]);
      (tensor.data as Float32Array)[0] = 7;
      expect((tensor.data as Float32Array)[0]).not.toBe(7);
      tensor.data = new Float32Array([1, 2, 3, 4]).subarray(2);
      expect([...(tensor.data as Float32Array)]).toEqual([1, 2]);
    });

    it('has no half-precision tensors', () => {
      expect(() => new addon.Tensor('f16' as 'f32', [2])).toThrow();
    });

    it('binds inferAsync by position (the double: whatever the names say), and copies its outputs', async () => {
      const { graph, model, inputs } = await decodeGraph();
      const order = model.inputs.map((port) => port.anyName);
      expect(order.toSorted()).toEqual(graph.inputs.map((p) => p.name).toSorted());
      const request = model.createInferRequest();
      const right = await request.inferAsync(order.map((name) => inputs[name]!));
      const y = (right.y!.data as Float32Array).slice();
      // cos and sin have one shape. Here each has its own name and the other's place.
      const swapped = order.map((name) => ({ 'cos.0': 'sin.0', 'sin.0': 'cos.0' })[name] ?? name);
      const again = await request.inferAsync(
        Object.fromEntries(swapped.map((name) => [name, inputs[name]!])),
      );
      // A later release of the module may bind by name; the adapter has no use for it either way.
      if (addon === double) expect([...(again.y!.data as Float32Array)]).not.toEqual([...y]);
      // The first run's outputs were not overwritten by the second's.
      expect([...(right.y!.data as Float32Array)]).toEqual([...y]);
    });

    it('binds the queue by name, keeps bindings, calls back, and leaves outputs in the request', async () => {
      const { model, inputs } = await decodeGraph();
      const queue = new addon.AsyncInferQueue(model, 1);
      const requests: InferRequest[] = [];
      queue.setCallback((error, request) => {
        expect(error).toBeNull();
        requests.push(request);
      });
      const reversed = Object.fromEntries(Object.entries(inputs).toReversed());
      await queue.startAsync(reversed, {});
      const y = (requests[0]!.getTensor('y').data as Float32Array).slice();
      const order = model.inputs.map((port) => port.anyName);
      const plain = await model.createInferRequest().inferAsync(order.map((name) => inputs[name]!));
      expect([...y]).toEqual([...(plain.y!.data as Float32Array)]);
      // Bound once, computed again.
      await queue.startAsync({}, {});
      expect([...(requests[1]!.getTensor('y').data as Float32Array)]).toEqual([...y]);
      // An output of our own memory.
      const mine = new Float32Array(y.length);
      requests[1]!.setTensor('y', new addon.Tensor('f32', requests[1]!.getTensor('y').getShape(), mine));
      await queue.startAsync({}, {});
      expect([...mine]).toEqual([...y]);
      queue.release();
    });

    it('does not let setProperty reach compileModel, and rejects an unknown property by name', async () => {
      const { manifest, files } = await compiled('llama3', { context: 32 });
      const file = path.join(files.directory, manifest.graphs[0]!.file);
      const core = new addon.Core();
      const unused = path.join(folder, 'unused');
      core.setProperty({ CACHE_DIR: unused });
      await core.compileModel(file, 'CPU', { PERFORMANCE_HINT: 'LATENCY' });
      expect(await readdir(unused).catch(() => [])).toEqual([]);
      await expect(core.compileModel(file, 'CPU', { NO_SUCH_PROPERTY: 'YES' })).rejects.toThrow(
        /NO_SUCH_PROPERTY/,
      );
      await expect(core.compileModel(file, 'TPU', {})).rejects.toThrow(/TPU/);
    });
  });

  const targets = OPENVINO_TARGETS.filter((target) => deviceOf(addon, target) !== null);
  describe.each(targets)('the adapter on %s', (target) => {
    const most = target === 'openvino-cpu' ? 1e-4 : HALF_PRECISION;

    async function logitErrors(
      model: Model & Fixture,
      sizes: readonly number[],
      facts?: Facts,
    ): Promise<number> {
      const backend = await open(it_, target, model, facts ? { facts } : {});
      try {
        const rows = await logitsOf(backend, model.prompt, sizes);
        return worstError(rows, model.logits.slice(0, model.prompt.length));
      } finally {
        await backend.close();
      }
    }

    // The double computes alike on all its devices but for the rounding; a real one has to show every family.
    const families = addon === double && target !== 'openvino-cpu' ? ROUNDED : fixtureNames();
    it.each(families)('computes what transformers does, in chunks and single steps: %s', async (name) => {
      expect(await logitErrors(await compiled(name), [7, 1, 16, 3])).toBeLessThan(most);
    });

    it('runs a model cut into chunks of layers, and goes on when it grows into the next capacity', async () => {
      const model = await compiled('qwen3', { layersPerGraph: 1, context: [16, CONTEXT] });
      expect(model.manifest.graphs.filter((g) => g.role === 'decode').length).toBeGreaterThan(2);
      expect(await logitErrors(model, [5, 1])).toBeLessThan(most);
    });

    it.each(['portable', 'fused'] as const)(
      'takes 4-bit weights, lowered for %s targets',
      async (lowering) => {
        const model = await compiled('llama3', { weights: 'int4', group: 32, lowering });
        const reference = await openOrtCpu(model.manifest, model.files, { threads: 1 });
        const want = await logitsOf(reference, model.prompt, [16]);
        await reference.close();
        const backend = await open(it_, target, model);
        const got = await logitsOf(backend, model.prompt, [16, 1]);
        await backend.close();
        // ONNX Runtime may round activations to 8 bits for 4-bit weights; the others do not.
        expect(worstError(got, want)).toBeLessThan(0.03);
      },
    );

    it('keeps conversations apart that take turns', async () => {
      const model = await compiled('smollm3');
      const backend = await open(it_, target, model);
      try {
        const texts = [model.prompt, model.prompt.toReversed()];
        const alone = [];
        for (const text of texts) alone.push(await logitsOf(backend, text, [4, 1]));
        const decoders = await Promise.all(texts.map(() => Decoder.create(backend)));
        const last: (Float32Array | null)[] = [null, null];
        for (let at = 0; at < texts[0]!.length; at++)
          for (const [i, decoder] of decoders.entries())
            last[i] = (await decoder.step(texts[i]![at]!)).slice();
        for (const [i, rows] of alone.entries())
          expect(worstError([last[i]!], [rows.at(-1)!])).toBeLessThan(most);
        await Promise.all(decoders.map((decoder) => decoder.close()));
      } finally {
        await backend.close();
      }
    });

    // The CPU has none: it compiles in a moment.
    if (target === 'openvino-cpu') return;
    it('starts from its cache the second time, and not with another driver', async () => {
      const model = await compiled('llama3');
      const facts = memoryFacts();
      expect(await logitErrors(model, [16], facts)).toBeLessThan(most);
      const blobs = await listing();
      // Each graph has its own cache, and no other process's leftovers.
      for (const { file } of model.manifest.graphs.filter((g) => g.role === 'decode'))
        expect(blobs.filter((b) => b.includes(`${path.sep}${file}${path.sep}`)).length).toBeGreaterThan(0);
      const first = events();
      expect(await logitErrors(model, [16], facts)).toBeLessThan(most);
      expect(await listing()).toEqual(blobs);
      if (addon !== double) return;
      const device = deviceOf(addon, target)!;
      const inChild = first.filter((e) => e.event === 'compile' && e.device === device);
      expect(inChild.length).toBeGreaterThan(2);
      // Compiled in the child, loaded here.
      expect(inChild.every((e) => e.pid !== process.pid)).toBe(true);
      const second = events()
        .slice(first.length)
        .filter((e) => e.device === device);
      expect(second.length).toBeGreaterThan(2);
      expect(second.every((e) => e.event === 'import' && e.pid === process.pid)).toBe(true);
      playing({ properties: { [device]: { NPU_DRIVER_VERSION: '32.0.100.9999' } } });
      const before = events().length;
      expect(await logitErrors(model, [16], facts)).toBeLessThan(most);
      expect(
        events()
          .slice(before)
          .some((e) => e.event === 'compile' && e.device === device),
      ).toBe(true);
    });
  });
}

/** Sliding windows and capped scores, norms of queries and keys, partial rotation, layers without rotation. */
const ROUNDED = ['gemma2', 'qwen3', 'phi4-mini', 'smollm3'];

/** Logits of a device that computes in half precision; the double's NPU stays below a third of it. */
const HALF_PRECISION = 0.02;

type Facts = ReturnType<typeof memoryFacts>;

async function listing(): Promise<string[]> {
  return (await readdir(path.join(folder, 'cache', 'openvino'), { recursive: true })).toSorted();
}

describe(DOUBLE.name, () => suite(DOUBLE));
describe.skipIf(REAL === null)(REAL?.name ?? `openvino-node itself (skipped: ${real.reason})`, () => {
  if (REAL) suite(REAL);
  else it('runs the same suite', () => undefined);
});

it('copies nothing through .data in a step, and binds only what is not bound', async () => {
  const model = await compiled('llama3', { layersPerGraph: 1 });
  playing({ devices: ['CPU'] });
  const backend = await open(DOUBLE, 'openvino-cpu', model);
  const decoder = await Decoder.create(backend);
  await decoder.ingest(model.prompt.slice(0, 20));
  // Each output is looked at twice: once unbound, once to see that binding it worked.
  for (const token of [1, 2, 3]) await decoder.step(token);
  const read = vi.spyOn(DoubleTensor.prototype, 'data', 'get');
  const started = vi.spyOn(DoubleAsyncInferQueue.prototype, 'startAsync');
  await decoder.step(4);
  const bound = started.mock.calls.map(([inputs]) => Object.keys(inputs));
  const copies = read.mock.calls.length;
  read.mockRestore();
  started.mockRestore();
  const layers = model.manifest.architecture.layers.length;
  // The head gets its row in a new array each time; all else is where it was.
  expect(bound).toEqual([...Array.from({ length: layers }, () => []), ['x']]);
  expect(copies).toBe(0);
  // Another conversation has other caches, and nothing else.
  const other = await Decoder.create(backend);
  const again = vi.spyOn(DoubleAsyncInferQueue.prototype, 'startAsync');
  await other.step(1);
  expect(Object.keys(again.mock.calls[0]![0])).toEqual(['past_key.0', 'past_value.0']);
  again.mockRestore();
  await backend.close();
});

it('chooses the device by measurement, remembers it, and measures again with another driver', async () => {
  // With a tokenizer, for openModel wants the whole.
  const tiny = path.join(import.meta.dirname, '../../../packages/runtime/test/fixtures/tiny');
  const out = path.join(folder, 'tiny');
  await compileDirectory(tiny, out, { context: 64, chunk: 16 });
  const facts = memoryFacts();
  const chosen = async (settings: DoubleSettings): Promise<string> => {
    playing(settings);
    const targets = openvinoTargets({ facts, addon: DOUBLE as never });
    const model = await openModel(new DirectoryFiles(out), { targets, target: 'auto' });
    const { target } = model.backend;
    await model.close();
    return target;
  };
  expect(await chosen({ runMs: { CPU: 40 } })).toBe('openvino-npu');
  expect(await chosen({ runMs: { NPU: 40 } })).toBe('openvino-npu');
  const properties = { NPU: { NPU_DRIVER_VERSION: '32.0.100.9999' } };
  expect(await chosen({ runMs: { NPU: 40 }, properties })).toBe('openvino-cpu');
});

// What a machine does that goes wrong is played by the double only.
describe('when things go wrong', () => {
  const npu = (model: Model, options: Parameters<typeof open>[3] = {}): Promise<Backend> =>
    open(DOUBLE, 'openvino-npu', model, options);

  async function opensAndComputes(
    model: Model & Fixture,
    options: Parameters<typeof open>[3] = {},
  ): Promise<void> {
    const backend = await npu(model, options);
    const rows = await logitsOf(backend, model.prompt, [16, 1]);
    await backend.close();
    expect(worstError(rows, model.logits.slice(0, model.prompt.length))).toBeLessThan(HALF_PRECISION);
  }

  it.each(['decode', 'prefill', 'head'])(
    'refuses a device that computes a graph wrongly, with the numbers: %s',
    async (role) => {
      const model = await compiled('llama3', { layersPerGraph: 1 });
      const graph = model.manifest.graphs.findLast(
        (g) => g.role === role && (role !== 'head' || g.length === 1),
      )!;
      // The CPU slower, or prefill would be its.
      playing({ wrong: graph.file, runMs: { CPU: 30 } });
      const facts = memoryFacts();
      const error = await npu(model, { facts }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(RuntimeError);
      const { code, message } = error as RuntimeError;
      expect(code).toBe('target-refused');
      expect(message).toContain(`NPU computes ${graph.file} wrongly: its output `);
      const off = Number(/off by ([\d.]+) of the CPU/.exec(message)![1]);
      // A third of the numbers are half too large.
      expect(off).toBeGreaterThan(0.1);
      expect(off).toBeLessThan(1);
      expect([...facts.map.keys()].some((key) => key.includes(`${graph.file}`))).toBe(false);
      // And again: what was refused is not forgotten.
      await expect(npu(model, { facts })).rejects.toThrow(/computes .* wrongly/);
    },
  );

  it.each([
    ['named', { rejects: ['NPU_TURBO', 'NPU_COMPILATION_MODE_PARAMS'] }, 2],
    ['not named', { rejects: ['NPU_TURBO'], rejectsSilently: true }, 1],
  ])('compiles without a property that a driver rejects: %s', async (_how, faults, rejected) => {
    const model = await compiled('llama3');
    playing(faults);
    const lines: string[] = [];
    await opensAndComputes(model, { lines });
    const compilations = events().filter((e) => e.device === 'NPU');
    for (const { properties } of compilations) {
      expect(properties).toMatchObject({ PERFORMANCE_HINT: 'LATENCY' });
      for (const name of faults.rejects) expect(properties).not.toHaveProperty(name);
    }
    expect(lines[0]).toMatch(/^NPU: compiled \S+\.onnx in [\d.]+ s \(without NPU_/);
    expect(lines[0]!.match(/NPU_/g)).toHaveLength(rejected);
  });

  it('gives one clear error when the compiling process is killed, and leaves nothing half-written', async () => {
    const model = await compiled('llama3', { layersPerGraph: 1 });
    const victim = model.manifest.graphs.findLast((g) => g.role === 'decode')!.file;
    playing({ dies: { file: victim } });
    const error = (await npu(model).catch((e: unknown) => e)) as RuntimeError;
    expect(error).toMatchObject({ name: 'RuntimeError', code: 'target-unavailable' });
    expect(error.message).toContain(
      `NPU could not compile ${victim}: its compiler process was ended by SIGKILL`,
    );
    expect(error.message).toContain('fewer --layers-per-graph need less');
    expect(error.message).not.toContain('\n');
    const left = await listing();
    expect(left.some((name) => name.includes(victim) && name.endsWith('.blob'))).toBe(false);
    // What was compiled before is kept, and only the rest is compiled when it can be.
    const whole = left.filter((name) => name.endsWith('.blob'));
    expect(whole.length).toBeGreaterThan(0);
    playing({});
    const before = events().length;
    await opensAndComputes(model);
    const again = events()
      .slice(before)
      .filter((e) => e.event === 'compile' && e.device === 'NPU');
    for (const { file } of again)
      expect(whole.some((name) => name.includes(`${path.sep}${file}${path.sep}`))).toBe(false);
    expect((await listing()).filter((name) => name.includes('unfinished'))).toEqual([]);
  });

  it('goes on in a fresh process where one graph’s leavings killed the next', async () => {
    const model = await compiled('llama3', { layersPerGraph: 1 });
    const victim = model.manifest.graphs.findLast((g) => g.role === 'decode')!.file;
    playing({ dies: { file: victim, unless: 'first' } });
    await opensAndComputes(model);
    const children = new Set(
      events()
        .filter((e) => e.event === 'compile' && e.device === 'NPU' && /decode/.test(e.file))
        .map((e) => e.pid),
    );
    expect(children.size).toBe(2);
  });

  it.each(['the compiler', 'everything'])(
    'starts clean after kill -9 of %s in the middle of writing a blob',
    async (what) => {
      const model = await compiled('llama3');
      playing({ blobMs: 60_000 });
      const bridge = runElsewhere(model);
      const half = await halfWritten();
      expect((await readFile(half, 'utf8')).endsWith('# end of blob\n')).toBe(false);
      const child = Number(/\.unfinished-(\d+)/.exec(half)![1]);
      if (what === 'everything') bridge.kill('SIGKILL');
      process.kill(child, 'SIGKILL');
      await bridge.ended;
      await expect.poll(() => alive(child)).toBe(false);
      playing({});
      await opensAndComputes(model);
      const blobs = await listing();
      expect(blobs.filter((name) => name.includes('unfinished'))).toEqual([]);
      expect(blobs.filter((name) => name.endsWith('.blob')).length).toBe(model.manifest.graphs.length);
    },
  );

  it('ends its compiler when the bridge is gone', async () => {
    const model = await compiled('llama3');
    playing({ blobMs: 60_000 });
    const bridge = runElsewhere(model);
    const child = Number(/\.unfinished-(\d+)/.exec(await halfWritten())![1]);
    bridge.kill('SIGKILL');
    await bridge.ended;
    await expect.poll(() => alive(child)).toBe(false);
  });

  it('lets the process end once the model is closed', async () => {
    playing({});
    const bridge = runElsewhere(await compiled('llama3'));
    expect(await bridge.ended).toBe(0);
  });

  it('prefills where that measures faster, and remembers it', async () => {
    const model = await compiled('llama3');
    playing({ devices: ['CPU', 'GPU', 'NPU'], runMs: { NPU: 60, GPU: 120 } });
    const facts = memoryFacts();
    const backend = await npu(model, { facts });
    expect(backend.description).toMatch(/decode on NPU, prefill on CPU from 2 tokens/);
    const rows = await logitsOf(backend, model.prompt, [16, 1]);
    await backend.close();
    expect(worstError(rows, model.logits.slice(0, model.prompt.length))).toBeLessThan(HALF_PRECISION);
    const first = events();
    expect(first.some((e) => e.device === 'GPU' && /prefill/.test(e.file))).toBe(true);
    // Now the other way round, but it is known already.
    playing({ devices: ['CPU', 'GPU', 'NPU'], runMs: { CPU: 60 } });
    const again = await npu(model, { facts });
    expect(again.description).toBe(backend.description);
    await again.close();
    expect(
      events()
        .slice(first.length)
        .some((e) => e.device === 'GPU'),
    ).toBe(false);
    // Measured anew, it stays where it decodes.
    const anew = await npu(model);
    expect(anew.description).toMatch(/decode on NPU, prefill on NPU/);
    await anew.close();
  });

  it('copies outputs of a device that does not write where it is told to', async () => {
    playing({ ignoresOutputs: true });
    await opensAndComputes(await compiled('llama3'));
  });

  it('reports a device that is lost in the middle of a text', async () => {
    const model = await compiled('llama3');
    const backend = await npu(model);
    const decoder = await Decoder.create(backend);
    await decoder.ingest(model.prompt.slice(0, 16));
    playing({ fails: 'decode' });
    // AsyncInferQueue never says that a run has failed.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const lost = decoder.step(1).catch((e: unknown) => e);
      await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1), { timeout: 30_000 });
      await vi.advanceTimersByTimeAsync(120_000);
      const error = await lost;
      expect(error).toBeInstanceOf(BackendLostError);
      expect((error as Error).message).toMatch(/no answer from the device for \d+ s/);
    } finally {
      vi.useRealTimers();
    }
    await backend.close();
  });

  it('compiles nothing of a model that OpenVINO cannot read', async () => {
    const model = await compiled('llama3');
    const { file } = model.manifest.graphs.find((g) => g.role === 'prefill')!;
    const bytes = await readFile(path.join(model.files.directory, file));
    const at = bytes.indexOf('Softmax');
    await writeFile(path.join(model.files.directory, file), bytes.fill('Softmux', at, at + 7));
    await expect(npu(model)).rejects.toThrow(
      `openvino-npu: ${file} uses Softmux, which OpenVINO does not read; compile with --target portable`,
    );
    model.manifest.graphs[0]!.inputs[0]!.dtype = 'f16';
    await expect(npu(model)).rejects.toThrow(
      /has the half-precision port \S+, which openvino-node cannot pass/,
    );
    expect(events()).toEqual([]);
  });

  it('says in one line why a graph does not compile', async () => {
    const model = await compiled('llama3');
    const { file } = model.manifest.graphs.find((g) => g.role === 'decode')!;
    await writeFile(path.join(model.files.directory, model.manifest.weightsFile), '');
    const error = (await npu(model).catch((e: unknown) => e)) as RuntimeError;
    expect(error.code).toBe('target-unavailable');
    expect(error.message).toMatch(new RegExp(`^NPU cannot compile ${file}: \\S`));
    expect(error.message).not.toContain('\n');
  });

  it('throws away blobs that nobody used for two months', async () => {
    const old = path.join(folder, 'cache', 'openvino', 'gone-NPU-0123');
    const recent = path.join(folder, 'cache', 'openvino', 'other-NPU-4567');
    for (const there of [old, recent]) await mkdir(path.join(there, 'decode.onnx'), { recursive: true });
    const days = (n: number): Date => new Date(Date.now() - n * 24 * 3600 * 1000);
    await utimes(old, days(61), days(61));
    await utimes(recent, days(59), days(59));
    await opensAndComputes(await compiled('llama3'));
    expect([existsSync(old), existsSync(recent)]).toEqual([false, true]);
  });

  it('says why a target is not there', async () => {
    playing({ devices: ['CPU'] });
    const targets = openvinoTargets({ facts: memoryFacts(), addon: DOUBLE as never });
    expect(targets.order).toEqual(['openvino-cpu']);
    expect(await targets.probe('openvino-cpu')).toMatchObject({
      available: true,
      reason: 'given, Double of CPU',
    });
    const { available, reason } = await targets.probe('openvino-npu');
    expect(available).toBe(false);
    expect(reason.length).toBeGreaterThan(10);
    const model = await compiled('llama3');
    await expect(targets.open('openvino-npu', model.manifest, model.files)).rejects.toThrow(
      `openvino-npu: ${reason}`,
    );
  });
});

/** Opens the model on the double's NPU in a process of its own, runs a step, closes it. */
function runElsewhere(model: Model & Fixture): {
  kill(signal: NodeJS.Signals): void;
  ended: Promise<number | null>;
} {
  const at = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  const script = `
    import { readFile } from 'node:fs/promises';
    import { DirectoryFiles } from '@baton/compiler/node';
    import { Decoder } from '@baton/runtime';
    import { openvinoTargets } from ${at('./targets.ts')};
    import { addon, MODULE } from ${at('../../test/openvino-double/index.ts')};
    const facts = { get: async () => undefined, set: async () => undefined };
    const targets = openvinoTargets({ facts, addon: { addon, module: MODULE } });
    const files = new DirectoryFiles(process.argv[1]);
    const manifest = JSON.parse(await readFile(process.argv[1] + '/baton.json', 'utf8'));
    const backend = await targets.open('openvino-npu', manifest, files);
    const decoder = await Decoder.create(backend);
    await decoder.step(1);
    await backend.close();
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script, model.files.directory], {
    cwd: path.dirname(new URL(import.meta.url).pathname),
    stdio: 'ignore',
  });
  return {
    kill: (signal) => child.kill(signal),
    ended: new Promise((resolve) => child.once('exit', (code) => resolve(code))),
  };
}

/** The first blob that is being written; waits for it. */
async function halfWritten(): Promise<string> {
  for (let i = 0; i < 600; i++) {
    const found = existsSync(path.join(folder, 'cache', 'openvino'))
      ? (await listing()).find((name) => name.includes('.unfinished-') && name.endsWith('.blob'))
      : undefined;
    if (found) return path.join(folder, 'cache', 'openvino', found);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('no blob was begun');
}
