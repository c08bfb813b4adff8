// `baton compile`: a Hugging Face checkpoint to a compiled model in a folder. Reads arguments and prints; the work is
// @baton/compiler's.
import { compileDirectory } from '@baton/compiler/node';
import { LOWERINGS, WEIGHT_TYPES, type CompileOptions, type CompileProgress } from '@baton/compiler';
import { Command, InvalidArgumentError, Option } from 'commander';

interface Flags {
  out: string;
  context: number[];
  chunk: number;
  weights: (typeof WEIGHT_TYPES)[number];
  group: NonNullable<CompileOptions['group']>;
  layersPerGraph?: number;
  target: (typeof LOWERINGS)[number];
  id?: string;
  json?: boolean;
}

/** The command, ready to be registered. */
export function compileCommand(): Command {
  return new Command('compile')
    .description('compile a Hugging Face checkpoint into static graphs')
    .argument('<checkpoint>', 'folder with config.json and *.safetensors')
    .requiredOption('--out <dir>', 'where the compiled model goes; appears whole or not at all')
    .option(
      '--context <slots>',
      'KV cache slots; several (1024,4096) give a cache that grows',
      numbers,
      [2048],
    )
    .option('--chunk <tokens>', 'tokens per prefill chunk', number, 64)
    .addOption(new Option('--weights <type>', 'how matrices are stored').choices(WEIGHT_TYPES).default('f32'))
    .addOption(
      new Option('--group <size>', 'inputs per scale: 32, 64, 128 or channel').default(32).argParser(group),
    )
    .option('--layers-per-graph <n>', 'layers in one graph (default: all)', number)
    .addOption(new Option('--target <lowering>', 'operators used').choices(LOWERINGS).default('portable'))
    .option('--id <name>', "the model's name (default: the checkpoint's)")
    .option('--json', 'print the result as JSON')
    .action(run);
}

async function run(checkpoint: string, flags: Flags): Promise<void> {
  const { out, context, chunk, weights, group, target, layersPerGraph, id, json } = flags;
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error('stopped; nothing was kept'));
  process.once('SIGINT', interrupt);
  const show = !json && process.stderr.isTTY;
  try {
    const { manifest, sourceBytes, elapsedMs } = await compileDirectory(checkpoint, out, {
      context,
      chunk,
      weights,
      group,
      lowering: target,
      signal: stop.signal,
      ...(layersPerGraph === undefined ? {} : { layersPerGraph }),
      ...(id === undefined ? {} : { id }),
      ...(show ? { onProgress: printProgress } : {}),
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
    };
    console.log(json ? JSON.stringify(result) : summary(result));
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
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
  return lines.join('\n');
}

function printProgress({ phase, item, done, total, remainingMs }: CompileProgress): void {
  const left = remainingMs === null ? '' : `, ${Math.ceil(remainingMs / 1000)} s left`;
  process.stderr.write(`\r\x1b[K${Math.floor((100 * done) / total)} %${left}  ${phase}: ${item}`);
}

function number(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('A positive whole number is needed.');
  return value;
}

function numbers(text: string): number[] {
  return text.split(',').map(number);
}

function group(text: string): Flags['group'] {
  if (text === 'channel') return text;
  const size = number(text);
  if (size === 16 || size === 32 || size === 64 || size === 128 || size === 256) return size;
  throw new InvalidArgumentError('Choose 16, 32, 64, 128, 256 or channel.');
}
