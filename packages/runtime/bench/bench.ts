// `baton bench`: compiles a random-weight shape (or takes a compiled model), opens it on the targets of this machine and
// measures load, prefill, decode at several context lengths and memory, beside the machine's own read bandwidth.
import { mkdtemp, rm } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MANIFEST_FILE, parseManifest, type Manifest, type WeightType } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import type { TargetId } from '../src/backend.ts';
import { nodeTargets } from '../src/node/targets.ts';
import { WasmSimdBackend } from '../src/targets/wasm-simd/backend.ts';
import type { Speeds, Subject } from './measure.ts';
import { measure } from './measure.ts';
import { writeRandomCheckpoint } from './random-checkpoint.ts';
import type { Shape } from './shapes.ts';
import { round } from './statistics.ts';

export interface BenchOptions {
  /** Compiled model directories; none = `shape` with random weights. */
  models?: readonly string[];
  shape: Shape;
  weights: readonly WeightType[];
  targets: readonly TargetId[];
  contexts: readonly number[];
  rounds: number;
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: (line: string) => void;
}

export interface TargetFigures extends Speeds {
  target: TargetId;
  description: string;
  loadMs: number;
  /** Most memory of a process that opened only this target, and how much of it came with opening, in bytes. */
  peakBytes: number;
  grownBytes: number;
  /** decode at the longest context over decode at the shortest, minus 1 (medians). */
  contextGrowth: number;
  /** Packed weights read per token, and bits per weight of them (wasm-simd, which packs its own). */
  weightBytes?: number;
  bitsPerWeight?: number;
  /** decode at the shortest context over reading the same weights (least over least). */
  overReadFloor?: number;
}

export interface ModelFigures {
  model: string;
  weights: string;
  parameters: number;
  /** Matrix weights in the graphs and their stored bits each, scales included. */
  graphWeights: number;
  bitsPerWeight: number;
  compile?: { ms: number; sourceBytes: number; megabytesPerSecond: number };
  targets: TargetFigures[];
  skipped: { target: TargetId; reason: string }[];
}

export interface Bench {
  schema: 'baton.bench/1';
  machine: { processor: string; cores: number; memoryBytes: number; node: string; platform: string };
  /** Largest read rate seen while reading weights, in GB/s, with that run's threads. */
  readBandwidth?: { gigabytesPerSecond: number; threads: number };
  models: ModelFigures[];
}

/** Runs the benchmark. Throws what a compiler or target throws; temporary files are removed either way. */
export async function bench(options: BenchOptions): Promise<Bench> {
  const say = options.onProgress ?? (() => undefined);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'baton-bench-'));
  const models: ModelFigures[] = [];
  try {
    for (const directory of options.models ?? []) models.push(await benchModel(directory, options));
    if (!options.models?.length) {
      const checkpoint = path.join(folder, options.shape.name);
      say(`writing random weights of shape ${options.shape.name}`);
      await writeRandomCheckpoint(checkpoint, options.shape);
      for (const weights of options.weights) {
        const out = path.join(folder, weights);
        say(`compiling ${options.shape.name} with ${weights} weights`);
        const capacity = Math.ceil((Math.max(...options.contexts) + 16) / 64) * 64;
        const compiled = await compileDirectory(checkpoint, out, {
          context: capacity,
          weights,
          // The head is a quarter of these weights; figures for a width are figures for all of it.
          head: weights,
          lowering: weights === 'int4' || weights === 'int8' ? 'fused' : 'portable',
          ...(options.signal ? { signal: options.signal } : {}),
        });
        const megabytesPerSecond = round(compiled.sourceBytes / compiled.elapsedMs / 1000, 1);
        const compile = {
          ms: round(compiled.elapsedMs, 0),
          sourceBytes: compiled.sourceBytes,
          megabytesPerSecond,
        };
        models.push({ ...(await benchModel(out, options)), model: options.shape.name, compile });
        await rm(out, { recursive: true });
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const rates = models.flatMap((m) =>
    m.targets.flatMap((t) => (t.read ? [t.weightBytes! / t.read.min / 1e6] : [])),
  );
  const threads = options.threads ?? os.availableParallelism();
  return {
    schema: 'baton.bench/1',
    machine: {
      processor: os.cpus()[0]?.model ?? 'unknown',
      cores: os.availableParallelism(),
      memoryBytes: os.totalmem(),
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
    },
    ...(rates.length > 0
      ? { readBandwidth: { gigabytesPerSecond: Number(Math.max(...rates).toPrecision(3)), threads } }
      : {}),
    models,
  };
}

interface Load {
  loadMs: number;
  peakBytes: number;
  grownBytes: number;
}

interface Opened extends Subject {
  load: Load;
}

/** Load time and memory of one target, in a fresh process. */
async function probeLoad(directory: string, target: TargetId, threads: number | undefined): Promise<Load> {
  const script = fileURLToPath(new URL('./load-probe.ts', import.meta.url));
  const args = [script, directory, target, ...(threads === undefined ? [] : [String(threads)])];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Load;
}

async function benchModel(directory: string, options: BenchOptions): Promise<ModelFigures> {
  const say = options.onProgress ?? (() => undefined);
  const files = new DirectoryFiles(directory);
  const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
  const set = nodeTargets(options.threads === undefined ? {} : { threads: options.threads });
  const subjects: Opened[] = [];
  const skipped: ModelFigures['skipped'] = [];
  const longest = Math.max(...options.contexts) + 6;
  if (longest > manifest.capacities.at(-1)!) {
    throw new Error(
      `${manifest.id} has ${manifest.capacities.at(-1)} slots; contexts up to ${longest} need a model compiled with --context ${longest} or fewer --contexts`,
    );
  }
  try {
    for (const target of options.targets) {
      try {
        const backend = await set.open(target, manifest, files);
        subjects.push({ name: target, backend, load: await probeLoad(directory, target, options.threads) });
      } catch (error) {
        skipped.push({ target, reason: (error as Error).message });
      }
    }
    say(`measuring ${manifest.id} (${manifest.weights}) on ${subjects.map((s) => s.name).join(', ')}`);
    const speeds = await measure(subjects, options);
    const { graphWeights, bits } = storedWeights(manifest);
    return {
      model: manifest.id,
      weights: manifest.weights,
      parameters: manifest.source.parameters,
      graphWeights,
      bitsPerWeight: round(bits / graphWeights, 2),
      targets: subjects.map((s) => figures(s, speeds.get(s.name)!, graphWeights, options.contexts)),
      skipped,
    };
  } finally {
    for (const { backend } of subjects) await backend.close();
  }
}

function figures(
  { backend, load }: Opened,
  speeds: Speeds,
  graphWeights: number,
  contexts: readonly number[],
): TargetFigures {
  const first = speeds.decode[Math.min(...contexts)]!;
  const last = speeds.decode[Math.max(...contexts)]!;
  const common = {
    target: backend.target,
    description: backend.description,
    loadMs: round(load.loadMs, 0),
    peakBytes: load.peakBytes,
    grownBytes: load.grownBytes,
    ...speeds,
    contextGrowth: round(last.median / first.median - 1),
  };
  if (!(backend instanceof WasmSimdBackend)) return common;
  const { weightBytes } = backend;
  const overReadFloor = round(first.min / speeds.read!.min, 2);
  return { ...common, weightBytes, bitsPerWeight: round((weightBytes * 8) / graphWeights, 2), overReadFloor };
}

/** Matrices of layers and head (not the embedding table), and the bits they are stored in. */
function storedWeights(manifest: Manifest): { graphWeights: number; bits: number } {
  let [graphWeights, bits] = [0, 0];
  for (const [name, t] of Object.entries(manifest.tensors)) {
    const head = name === 'head' || (name === manifest.embedding.tensor && !manifest.tensors['head']);
    if (t.dims.length !== 2 || !(name.startsWith('layers.') || head)) continue;
    graphWeights += t.dims[0]! * t.dims[1]!;
    bits += 8 * (t.bytes + (t.scales?.bytes ?? 0));
  }
  return { graphWeights, bits };
}
