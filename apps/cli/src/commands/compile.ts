// `baton compile`: a Hugging Face checkpoint to a compiled model in a folder. Reads arguments and prints; the work is
// @baton/compiler's.
import { stat } from 'node:fs/promises';
import {
  ATTENTIONS,
  BOUNDARIES,
  CACHE_UPDATES,
  compile,
  hubSource,
  LOWERINGS,
  PREFILL_WEIGHTS,
  urlSource,
  WEIGHT_TYPES,
  type Attention,
  type CheckpointSource,
  type CompileOptions,
  type CompileProgress,
  type Manifest,
  type PrefillWeights,
  type WeightType,
} from '@baton/compiler';
import { DirectorySink, DirectorySource } from '@baton/compiler/node';
import { Command, InvalidArgumentError, Option } from 'commander';
import { isHubId, isUrl } from '../model-argument.ts';
import { amount, positiveNumber, positiveNumbers } from '../number-arguments.ts';
import { checkOutFolder } from '../out-argument.ts';
import { UsageError } from '../usage-error.ts';
import { checkTokenizer } from './check-tokenizer.ts';

const LINE_EVERY_MS = 5000;

interface Flags {
  out: string;
  context: number[];
  chunk: number;
  weights: (typeof WEIGHT_TYPES)[number];
  group: NonNullable<CompileOptions['group']>;
  layersPerGraph?: number;
  target: (typeof LOWERINGS)[number];
  head?: WeightType;
  keep: Record<string, WeightType>;
  keepAbove?: number;
  epsilonFloor?: number;
  cacheUpdate: (typeof CACHE_UPDATES)[number];
  attention?: Attention;
  prefillWeights: PrefillWeights;
  boundary: (typeof BOUNDARIES)[number];
  ignoreField: string[];
  id?: string;
  revision?: string;
  tokenEnv: string;
  json?: boolean;
}

/** The command, ready to be registered. */
export function compileCommand(): Command {
  return new Command('compile')
    .description('compile a Hugging Face checkpoint into static graphs')
    .argument(
      '<checkpoint>',
      'folder with config.json and *.safetensors, its URL, or a Hugging Face id (owner/name)',
    )
    .requiredOption('--out <dir>', 'where the compiled model goes; appears whole or not at all')
    .option(
      '--context <slots>',
      'KV cache slots; several (1024,4096) give a cache that grows',
      positiveNumbers,
      [2048],
    )
    .option('--chunk <tokens>', 'tokens per prefill chunk', positiveNumber, 64)
    .addOption(new Option('--weights <type>', 'how matrices are stored').choices(WEIGHT_TYPES).default('f32'))
    .addOption(
      new Option(
        '--group <size>',
        'inputs per scale: 32, 64, 128 or channel (default: 32; integer: channel)',
      ).argParser(group),
    )
    .option('--layers-per-graph <n>', 'layers in one graph (default: all)', positiveNumber)
    .addOption(new Option('--target <lowering>', 'operators used').choices(LOWERINGS).default('portable'))
    .addOption(
      new Option('--head <type>', 'how the LM head is stored (int4 models: int8)').choices(WEIGHT_TYPES),
    )
    .option('--keep <tensor=type>', 'keep a tensor wider, e.g. .down=int8; may be repeated', keep, {})
    .option(
      '--keep-above <error>',
      'also keep every matrix wider whose relative error exceeds this, e.g. 0.1 (reads the weights twice)',
      amount,
    )
    .addOption(
      new Option('--cache-update <rule>', 'graphs return new rows, or write the whole cache themselves')
        .choices(CACHE_UPDATES)
        .default('rows'),
    )
    .addOption(
      new Option(
        '--attention <form>',
        'grouped: prompts attend to filled slots only, on ort-cpu, wasm and webgpu (default: primitive; integer: grouped)',
      ).choices(ATTENTIONS),
    )
    .addOption(
      new Option(
        '--prefill-weights <form>',
        'bytes: int4 in the fused lowering is unpacked when a model opens, for faster prompts on ort-cpu and more memory; not for webgpu',
      )
        .choices(PREFILL_WEIGHTS)
        .default('stored'),
    )
    .addOption(
      new Option('--boundary <type>', 'hidden states, keys and values between graphs')
        .choices(BOUNDARIES)
        .default('f32'),
    )
    .option('--epsilon-floor <eps>', 'smallest RMSNorm epsilon; 5e-5 for targets that compute in f16', amount)
    .option(
      '--ignore-field <name>',
      'a config.json field that changes no arithmetic; may be repeated',
      collect,
      [],
    )
    .option(
      '--revision <name>',
      'branch, tag or commit of a Hugging Face id (HF_ENDPOINT: the address of another hub)',
    )
    .option('--token-env <var>', 'environment variable with the access token for gated models', 'HF_TOKEN')
    .option('--id <name>', "the model's name (default: the checkpoint's)")
    .option('--json', 'print the result as JSON')
    .action(run);
}

/** Ctrl-C, a supervisor's stop and a closed terminal: what is written so far are gigabytes in a hidden folder. */
const ENDINGS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

async function run(checkpoint: string, flags: Flags): Promise<void> {
  refuseNarrower(flags);
  const { out, context, chunk, weights, group, target, layersPerGraph, head, epsilonFloor, id, json } = flags;
  const { cacheUpdate, attention, prefillWeights, boundary, keepAbove } = flags;
  const stop = new AbortController();
  const interrupt = () => stop.abort(new DOMException('stopped; nothing was kept', 'AbortError'));
  for (const signal of ENDINGS) process.once(signal, interrupt);
  const show = process.stderr.isTTY;
  try {
    await checkOutFolder(out);
    const source = await openSource(checkpoint, flags, stop.signal);
    await checkTokenizer(source);
    const { manifest, sourceBytes, elapsedMs } = await compile(source, new DirectorySink(out), {
      context,
      chunk,
      weights,
      ...(group === undefined ? {} : { group }),
      lowering: target,
      cacheUpdate,
      prefillWeights,
      boundary,
      keep: flags.keep,
      ignoreConfigFields: flags.ignoreField,
      signal: stop.signal,
      ...(layersPerGraph === undefined ? {} : { layersPerGraph }),
      ...(attention === undefined ? {} : { attention }),
      ...(head === undefined ? {} : { head }),
      ...(epsilonFloor === undefined ? {} : { epsilonFloor }),
      ...(keepAbove === undefined ? {} : { keepAbove }),
      ...(id === undefined ? {} : { id }),
      onProgress: show ? printProgress : progressLines(),
    });
    if (show) process.stderr.write('\r\x1b[K');
    const errors = Object.entries(manifest.tensors).map(([tensor, t]) => ({
      tensor,
      error: t.relativeError ?? 0,
    }));
    const bytes = manifest.files.reduce((n, f) => n + f.bytes, 0);
    const result = {
      out,
      id: manifest.id,
      family: manifest.family,
      parameters: manifest.source.parameters,
      sourceBytes,
      bytes,
      elapsedMs: Math.round(elapsedMs),
      megabytesPerSecond: Math.round(sourceBytes / elapsedMs / 10) / 100,
      graphs: manifest.graphs.map((g) => g.file),
      layerErrors: layerErrors(manifest.architecture.layers.length, errors),
      keptWider: keptWider(manifest),
    };
    console.log(json ? JSON.stringify(result) : summary(result));
  } finally {
    for (const signal of ENDINGS) process.removeListener(signal, interrupt);
  }
}

/** A folder if there is one of that name, else a URL or a Hugging Face id. */
async function openSource(checkpoint: string, flags: Flags, signal: AbortSignal): Promise<CheckpointSource> {
  if (checkpoint.trim() === '')
    throw new UsageError('the checkpoint is empty: give a folder, a URL or a Hugging Face id');
  const there = await stat(checkpoint).catch(() => null);
  const isFolder = there?.isDirectory() ?? false;
  // A path of two parts would read as an id.
  if (there && !isFolder)
    throw new Error(`compile: ${checkpoint} is a file; give the folder with the checkpoint’s config.json`);
  if (flags.revision !== undefined && (isFolder || isUrl(checkpoint)))
    throw new UsageError(
      `--revision is for a Hugging Face id, and ${checkpoint} is a ${isFolder ? 'folder' : 'URL'}; leave it out`,
    );
  if (isFolder) return new DirectorySource(checkpoint);
  if (isUrl(checkpoint)) return urlSource(checkpoint, { signal });
  if (!isHubId(checkpoint)) {
    throw new Error(
      `compile: there is no folder ${checkpoint}, and it is neither a URL nor an id like owner/name`,
    );
  }
  const accessToken = process.env[flags.tokenEnv];
  const hubUrl = process.env['HF_ENDPOINT']?.replace(/\/+$/, '') || undefined;
  try {
    return await hubSource(checkpoint, {
      ...(flags.revision === undefined ? {} : { revision: flags.revision }),
      ...(accessToken ? { accessToken } : {}),
      ...(hubUrl === undefined ? {} : { hubUrl }),
    });
  } catch (cause) {
    // A folder's name with a letter missing reads as an id.
    const why = (cause as Error).message.replace(`${checkpoint}: `, '');
    throw new Error(
      `compile: there is no folder ${checkpoint}, and as a Hugging Face id it cannot be read from ${hubUrl ?? 'https://huggingface.co'}: ${why}`,
      { cause },
    );
  }
}

const NARROW_TO_WIDE = ['int4', 'int8', 'f16', 'f32'];

function width(type: string): number {
  return NARROW_TO_WIDE.indexOf(type);
}

function refuseNarrower({ keep, weights }: Flags): void {
  for (const [tensor, type] of Object.entries(keep)) {
    if (width(type) < width(weights))
      throw new UsageError(
        `--keep ${tensor}=${type} is narrower than --weights ${weights}; it only keeps tensors wider`,
      );
  }
}

/** Matrices in a wider type than was asked for: by --keep, --keep-above, or as the head of an int4 model is. */
function keptWider(manifest: Manifest): { tensor: string; type: string }[] {
  return Object.entries(manifest.tensors)
    .filter(([, t]) => t.dims.length === 2 && width(t.dtype) > width(manifest.weights))
    .map(([tensor, t]) => ({ tensor, type: t.dtype }));
}

/** The largest relative weight error of each layer, and of the head. */
function layerErrors(layers: number, errors: readonly { tensor: string; error: number }[]) {
  const names = [...Array.from({ length: layers }, (_, i) => `layers.${i}`), 'head'];
  return names.map((name) => {
    const own = errors.filter(({ tensor }) => tensor === name || tensor.startsWith(`${name}.`));
    const worst = own.reduce((a, b) => (b.error > a.error ? b : a));
    return { part: name, tensor: worst.tensor, relativeError: worst.error };
  });
}

function summary(result: {
  out: string;
  family: string;
  parameters: number;
  bytes: number;
  elapsedMs: number;
  megabytesPerSecond: number;
  layerErrors: readonly { part: string; tensor: string; relativeError: number }[];
  keptWider: readonly { tensor: string; type: string }[];
}): string {
  const lines = [
    `${result.out}: ${result.family}, ${(result.parameters / 1e6).toFixed(1)} M parameters, ` +
      `${(result.bytes / 1e6).toFixed(1)} MB in ${(result.elapsedMs / 1000).toFixed(1)} s ` +
      `(${result.megabytesPerSecond} MB/s of source)`,
  ];
  for (const { part, tensor, relativeError } of result.layerErrors) {
    if (relativeError > 0)
      lines.push(`  ${part}: weight error ${(relativeError * 100).toFixed(2)} % (${tensor})`);
  }
  for (const { tensor, type } of result.keptWider) lines.push(`  ${tensor}: kept in ${type}`);
  return lines.join('\n');
}

function printProgress(progress: CompileProgress): void {
  process.stderr.write(`\r\x1b[K${progressText(progress)}`);
}

/** For logs and pipes: a line every so often, none for a compilation that is over before. */
function progressLines(): (progress: CompileProgress) => void {
  let next = LINE_EVERY_MS;
  return (progress) => {
    if (progress.elapsedMs < next) return;
    next = progress.elapsedMs + LINE_EVERY_MS;
    process.stderr.write(`${progressText(progress)}\n`);
  };
}

function progressText({ phase, item, done, total, remainingMs }: CompileProgress): string {
  const left = remainingMs === null ? '' : `, ${Math.ceil(remainingMs / 1000)} s left`;
  return `${Math.floor((100 * done) / total)} %${left}  ${phase}: ${item}`;
}

function keep(text: string, earlier: Record<string, WeightType>): Record<string, WeightType> {
  const [tensor, type] = text.split('=');
  const known = WEIGHT_TYPES.find((t) => t === type);
  if (!tensor || !known)
    throw new InvalidArgumentError(`Write a tensor and one of ${WEIGHT_TYPES.join(', ')}: .down=int8`);
  return { ...earlier, [tensor]: known };
}

function collect(text: string, earlier: string[]): string[] {
  return [...earlier, text];
}

function group(text: string): Flags['group'] {
  if (text === 'channel') return text;
  const size = positiveNumber(text);
  if (size === 16 || size === 32 || size === 64 || size === 128 || size === 256) return size;
  throw new InvalidArgumentError('Choose 16, 32, 64, 128, 256 or channel.');
}
