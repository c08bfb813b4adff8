// The whole way: checkpoint -> description -> layout -> weights, graphs, tokenizer files, baton.json. Streams; writes
// through a sink that shows nothing before the end and keeps nothing after a failure.
import { Checkpoint } from './checkpoint/checkpoint.ts';
import { checkWeights, textNames } from './checkpoint/text-names.ts';
import { CompileError } from './errors.ts';
import type { Description } from './families/description.ts';
import { describe, findFamily } from './families/describe.ts';
import type { CheckpointSource, ModelSink } from './files.ts';
import { columnsGraph, headGraph, layersGraph, type GraphOptions } from './graph/graphs.ts';
import type { OnnxBuilder } from './graph/onnx-builder.ts';
import { MANIFEST_FILE, MANIFEST_SCHEMA, type Manifest, type ManifestGraph } from './manifest.ts';
import { resolveOptions, type Attention, type CompileOptions, type ResolvedOptions } from './options.ts';
import { startProgress, type ProgressReporter } from './progress.ts';
import { checkKeep, layOut, WEIGHTS_FILE, type Layout } from './weights/layout.ts';
import { OutputFile, type OutputEntry } from './weights/output-file.ts';
import { ReadAhead, readBytes } from './weights/read-ahead.ts';
import { findSensitive } from './weights/sensitive.ts';
import { writeTensor } from './weights/write-weights.ts';

export const COMPILER_VERSION = '0.1.0';

/** Carried along when the checkpoint has them: what a tokenizer and a chat template need. */
const CARRIED_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'generation_config.json',
  'config.json',
];

export interface CompiledModel {
  manifest: Manifest;
  /** Bytes of checkpoint tensors read. */
  sourceBytes: number;
  elapsedMs: number;
}

/**
 * Compiles a checkpoint into `sink`. On any failure the sink is aborted, so that nothing half-written is left, and a
 * CompileError (or the signal's reason) is thrown.
 */
export async function compile(
  source: CheckpointSource,
  sink: ModelSink,
  options: CompileOptions = {},
): Promise<CompiledModel> {
  const started = performance.now();
  try {
    const { manifest, sourceBytes } = await compileInto(source, sink, options);
    return { manifest, sourceBytes, elapsedMs: performance.now() - started };
  } catch (error) {
    await sink.abort();
    throw error;
  }
}

async function compileInto(source: CheckpointSource, sink: ModelSink, options: CompileOptions) {
  const asked = resolveOptions(options);
  const familyOf = (json: Readonly<Record<string, unknown>> | null) => {
    if (json) return { json, ...findFamily(json) };
    throw new CompileError('missing', `${source.name}: no config.json; a Hugging Face checkpoint is needed`);
  };
  const { checkpoint, found } = await Checkpoint.openAs(source, familyOf);
  const { json, family, config } = found;
  const describeFor = (capacities: readonly number[]) => {
    const ignoreConfigFields = options.ignoreConfigFields ?? [];
    return describe(family, config, { ...textNames(checkpoint), capacities, ignoreConfigFields });
  };
  const { unscaledLength } = describeFor(asked.capacities);
  const capacities = withStepAt(unscaledLength, asked);
  const description = describeFor(capacities);
  const resolved = { ...asked, capacities, attention: attentionOf(description, asked) };
  description.architecture.rmsNormEps = Math.max(description.architecture.rmsNormEps, resolved.epsilonFloor);
  const used = checkWeights(checkpoint, description, 'text_config' in json);
  checkKeep(description, resolved.keep);

  const { keepAbove } = resolved;
  let layout = layOut(description, resolved);
  const bytesOf = ({ placed }: Layout) => placed.reduce((n, p) => n + readBytes(checkpoint, p), 0);
  const measured = keepAbove === null ? 0 : bytesOf(layout);
  const progress = startProgress(measured + bytesOf(layout), options.onProgress, options.signal);
  if (keepAbove !== null) {
    const wider = await findSensitive(checkpoint, layout, keepAbove, (item, bytes) =>
      progress.advance('measure', item, bytes),
    );
    layout = layOut(description, { ...resolved, keep: { ...resolved.keep, ...wider } });
    progress.expect(measured + bytesOf(layout));
  }
  await sink.expect?.(layout.bytes);
  const files = await writeWeights(checkpoint, layout, sink, progress);
  const tensors = Object.fromEntries(layout.placed.map((p) => [p.source.name, p.tensor]));
  const graphs = await writeGraphs(description, tensors, resolved, sink, files, progress);
  const carried = CARRIED_FILES.filter((f) => checkpoint.files.includes(f));
  for (const path of carried) {
    const content = await source.read(path, 0, await source.size(path));
    files.push(await writeFile(sink, path, content));
  }
  progress.report('finish', MANIFEST_FILE);
  const manifest: Manifest = {
    schema: MANIFEST_SCHEMA,
    id: options.id ?? source.name.replace(/\/+$/, '').split('/').pop()!,
    family: description.family,
    source: { name: source.name, compiler: COMPILER_VERSION, parameters: used.parameters },
    architecture: description.architecture,
    rope: description.rope,
    masks: description.masks,
    embedding: { tensor: layout.embedding, scale: description.embeddingScale },
    capacities: resolved.capacities,
    chunk: resolved.chunk,
    layersPerGraph: Math.min(resolved.layersPerGraph, description.architecture.layers.length),
    lowering: resolved.lowering,
    cacheUpdate: resolved.cacheUpdate,
    attention: resolved.attention,
    prefillWeights: resolved.prefillWeights,
    boundary: resolved.boundary,
    weights: resolved.weights,
    ...(resolved.weights === 'int8' || resolved.weights === 'int4' ? { group: resolved.group } : {}),
    graphs,
    weightsFile: WEIGHTS_FILE,
    tensors,
    tokenizerFiles: carried,
    ...(await specialIds(checkpoint, json)),
    files,
  };
  await writeFile(sink, MANIFEST_FILE, new TextEncoder().encode(JSON.stringify(manifest, null, 1)));
  options.signal?.throwIfAborted();
  await sink.commit();
  return { manifest, sourceBytes: used.bytes };
}

/** GroupQueryAttention takes heads of multiples of 8 numbers. */
function attentionOf({ architecture }: Description, { attention }: ResolvedOptions): Attention {
  return architecture.headDim % 8 === 0 ? attention : 'primitive';
}

/**
 * The capacities, and between them the length up to which a scaling that goes by length leaves positions alone: short
 * sequences are then rotated as in transformers, and growing past it is when they are run again.
 */
function withStepAt(length: number | null, { capacities, chunk }: ResolvedOptions): number[] {
  if (length === null || !Number.isInteger(length) || length < chunk || length >= capacities.at(-1)!)
    return capacities;
  return [...new Set([...capacities, length])].sort((a, b) => a - b);
}

async function writeWeights(
  checkpoint: Checkpoint,
  layout: Layout,
  sink: ModelSink,
  progress: ProgressReporter,
): Promise<OutputEntry[]> {
  const entries: OutputEntry[] = [];
  const reader = new ReadAhead(checkpoint, layout.placed);
  let out: OutputFile | undefined;
  const finish = async () => {
    await out?.close();
    if (out) entries.push(out.entry());
  };
  for (const placed of layout.placed) {
    const { file } = placed.tensor;
    if (out?.path !== file) {
      await finish();
      out = await OutputFile.create(sink, file);
    }
    placed.tensor.relativeError = await writeTensor(reader, placed, out, (bytes) => {
      progress.advance('weights', placed.source.name, bytes);
    });
  }
  await finish();
  return entries;
}

async function writeGraphs(
  description: Description,
  tensors: Manifest['tensors'],
  options: ResolvedOptions,
  sink: ModelSink,
  files: OutputEntry[],
  progress: ProgressReporter,
): Promise<ManifestGraph[]> {
  const { lowering, cacheUpdate, attention, prefillWeights, boundary } = options;
  const epsilon = description.architecture.rmsNormEps;
  const build: GraphOptions = {
    description,
    tensors,
    epsilon,
    lowering,
    cacheUpdate,
    attention,
    boundary,
    int4: 'stored',
  };
  const graphs: ManifestGraph[] = [];
  const add = async (
    file: string,
    builder: OnnxBuilder,
    entry: Omit<ManifestGraph, 'file' | 'inputs' | 'outputs'>,
  ) => {
    progress.report('graphs', file);
    files.push(await writeFile(sink, file, builder.toBytes(COMPILER_VERSION)));
    graphs.push({ ...entry, file, inputs: builder.inputs, outputs: builder.outputs });
  };
  const layers = description.architecture.layers.length;
  for (const capacity of options.capacities) {
    for (const [role, length] of [
      ['prefill', options.chunk],
      ['decode', 1],
    ] as const) {
      for (let first = 0; first < layers; first += options.layersPerGraph) {
        const last = Math.min(layers, first + options.layersPerGraph) - 1;
        const int4 = role === 'prefill' ? prefillWeights : 'stored';
        const builder = layersGraph({ ...build, int4 }, first, last, length, capacity);
        const file = `${role}-${capacity}-${first}-${last}.onnx`;
        await add(file, builder, { role, firstLayer: first, lastLayer: last, length, capacity });
      }
    }
  }
  for (const length of new Set([options.chunk, 1])) {
    await add(`head-${length}.onnx`, headGraph(build, length), { role: 'head', length });
    await add(`columns-${length}.onnx`, columnsGraph(build, length), { role: 'columns', length });
  }
  return graphs;
}

async function writeFile(sink: ModelSink, path: string, content: Uint8Array): Promise<OutputEntry> {
  const out = await OutputFile.create(sink, path);
  await out.write(content);
  await out.close();
  return out.entry();
}

/** Ids that end a text, from everywhere a checkpoint may name them. */
async function specialIds(
  checkpoint: Checkpoint,
  config: Readonly<Record<string, unknown>>,
): Promise<{ stopIds: number[]; bosId?: number }> {
  const generation = (await checkpoint.json('generation_config.json')) ?? {};
  const text = (config['text_config'] ?? {}) as Record<string, unknown>;
  const sources = [generation, config, text];
  const isId = (id: unknown): id is number => Number.isInteger(id) && (id as number) >= 0;
  const stopIds = [...new Set(sources.flatMap((s) => [s['eos_token_id']].flat()).filter(isId))];
  const bosId = sources.map((s) => s['bos_token_id']).find(isId);
  return bosId === undefined ? { stopIds } : { stopIds, bosId };
}
