// `baton bench`: measures the targets of this machine; `baton bench compile`: the compiler; `baton bench relay`: the hand-off
// between two models. Reads arguments and prints; the measuring is @baton/runtime's, @baton/compiler's and @baton/split's.
import { WEIGHT_TYPES, type WeightType } from '@baton/compiler';
import { benchCompile, COMPILE_SHAPES, type BenchCompile, type CompileShape } from '@baton/compiler/bench';
import { TARGETS, type TargetId } from '@baton/runtime';
import { bench, SHAPES, type Bench, type BenchOptions } from '@baton/runtime/bench';
import { resolveModel } from '@baton/runtime/node';
import { Command, Option } from 'commander';
import { checkLocalModel } from '../model-argument.ts';
import { positiveNumber } from '../number-arguments.ts';
import { checkOutFile } from '../out-argument.ts';
import { contextOption, list, print } from './bench-arguments.ts';
import { pageCommand, peersCommand } from './bench-peers.ts';
import { relayCommand } from './bench-relay.ts';

interface Flags {
  model: string[];
  shape: keyof typeof SHAPES;
  weights: WeightType[];
  target: TargetId[];
  context: number[];
  rounds: number;
  threads?: number;
  out?: string;
  json?: boolean;
}

/** The command, ready to be registered. */
export function benchCommand(): Command {
  const command = new Command('bench')
    .description('measure load, prefill and decode on this machine, beside its memory bandwidth')
    // Its sub-commands have options of the same names, which would otherwise be taken for its own.
    .enablePositionalOptions()
    .option(
      '--model <model>',
      'compiled model, checkpoint or demo name; repeatable (default: random weights)',
      collect,
      [],
    )
    .addOption(
      new Option('--shape <name>', 'shape of the random weights')
        .choices(Object.keys(SHAPES))
        .default('100m'),
    )
    .option('--weights <types>', 'how random weights are stored, comma-separated', list(WEIGHT_TYPES), [
      'int4',
      'int8',
      'f32',
    ])
    .option('--target <ids>', 'execution targets, comma-separated', list(TARGETS), ['wasm-simd', 'ort-cpu'])
    .addOption(contextOption())
    .option('--rounds <n>', 'rounds in which the targets take turns', positiveNumber, 8)
    .option('--threads <n>', 'threads of every target (default: their own choice)', positiveNumber)
    .option('--out <file>', 'also write the JSON here')
    .option('--json', 'print JSON')
    .action(run);
  return command
    .addCommand(peersCommand())
    .addCommand(pageCommand())
    .addCommand(compileCommand())
    .addCommand(relayCommand());
}

async function run(flags: Flags): Promise<void> {
  const { model, shape, weights, target, context, rounds, threads, out, json } = flags;
  if (out !== undefined) await checkOutFile(out);
  const options: BenchOptions = {
    models: await Promise.all(
      model.map(async (name) => {
        await checkLocalModel(name);
        return resolveModel(name);
      }),
    ),
    shape: SHAPES[shape],
    weights,
    targets: target,
    contexts: context,
    rounds,
    threads,
    onProgress: (line) => void process.stderr.write(`${line}\n`),
  };
  await print(await bench(options), table, out, json);
}

function compileCommand(): Command {
  const shapes = Object.keys(COMPILE_SHAPES) as CompileShape[];
  return new Command('compile')
    .description('speed and memory of the compiler on random checkpoints with the shapes of real models')
    .option('--shape <names>', `shapes, comma-separated: ${shapes.join(', ')}`, list(shapes), ['1.5b'])
    .option('--weights <types>', 'how weights are stored, comma-separated', list(WEIGHT_TYPES), ['int4'])
    .option('--rounds <n>', 'compilations of each kind', positiveNumber, 3)
    .option('--work <dir>', 'where checkpoints are written for the while (1.5b: 6 GB; default: temporary)')
    .option('--out <file>', 'also write the JSON here')
    .option('--json', 'print JSON')
    .action(
      async (flags: {
        shape: CompileShape[];
        weights: WeightType[];
        rounds: number;
        work?: string;
        out?: string;
        json?: boolean;
      }) => {
        if (flags.out !== undefined) await checkOutFile(flags.out);
        const result = await benchCompile({
          shapes: flags.shape,
          weights: flags.weights,
          rounds: flags.rounds,
          workFolder: flags.work,
          onProgress: (line) => void process.stderr.write(`${line}\n`),
        });
        await print(result, compileTable, flags.out, flags.json);
      },
    );
}

function compileTable({ machine, coresUsed, results }: BenchCompile): string {
  const cores = coresUsed === null ? `${machine.cores} cores` : `held on 1 of ${machine.cores} cores`;
  const lines = [`${machine.processor}, ${cores}, Node ${machine.node}, ${machine.platform}`];
  for (const { shape, weights, sourceBytes, outputBytes, shards, runs } of results) {
    lines.push(
      `${shape} to ${weights}: ${(sourceBytes / 1e9).toFixed(2)} GB in ${shards} files, ${(outputBytes / 1e9).toFixed(2)} GB out`,
    );
    for (const r of runs) {
      const estimate = r.estimates.map(
        ({ done, remainingMs, tookMs }) =>
          `${Math.round(done * 100)} %: ${(remainingMs / 1000).toFixed(1)} s left, took ${(tookMs / 1000).toFixed(1)}`,
      );
      lines.push(
        `  ${(r.wallMs / 1000).toFixed(1)} s, ${r.megabytesPerSecond} MB/s (${r.megabytesPerProcessorSecond} per processor second), ` +
          `${(r.peakBytes / 1e6).toFixed(0)} MB at most${estimate.length > 0 ? `; ${estimate.join('; ')}` : ''}`,
      );
    }
  }
  return lines.join('\n');
}

function table({ machine, readBandwidth, models }: Bench): string {
  const lines = [`${machine.processor}, ${machine.cores} cores, Node ${machine.node}, ${machine.platform}`];
  if (readBandwidth) {
    lines.push(
      `memory read: ${readBandwidth.gigabytesPerSecond} GB/s with ${readBandwidth.threads} threads (best pass)`,
    );
  }
  for (const m of models) {
    const compiled = m.compile ? `, compiled in ${(m.compile.ms / 1000).toFixed(1)} s` : '';
    lines.push(
      '',
      `${m.model}, ${m.weights}: ${(m.graphWeights / 1e6).toFixed(1)} M weights in the graphs, ${m.bitsPerWeight} bits each${compiled}`,
    );
    for (const t of m.targets) {
      lines.push(`  ${t.target}: ${t.description}`);
      const decode = Object.entries(t.decode).map(
        ([context, d]) => `${context}: ${d.median.toFixed(1)} (least ${d.min.toFixed(1)})`,
      );
      lines.push(
        `    decode ms/token at context ${decode.join(', ')}; growth ${(t.contextGrowth * 100).toFixed(0)} %`,
      );
      lines.push(
        `    prefill ${t.prefill.median.toFixed(2)} ms/token (least ${t.prefill.min.toFixed(2)}), load ${(t.loadMs / 1000).toFixed(2)} s, ${(t.peakBytes / 1e6).toFixed(0)} MB at most`,
      );
      if (t.read)
        lines.push(
          `    ${t.bitsPerWeight} bits per weight packed; reading them takes ${t.read.median.toFixed(1)} ms (least ${t.read.min.toFixed(1)}); decode is ${t.overReadFloor} times that`,
        );
    }
    for (const { target, reason } of m.skipped) lines.push(`  ${target}: not measured: ${reason}`);
  }
  return lines.join('\n');
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
