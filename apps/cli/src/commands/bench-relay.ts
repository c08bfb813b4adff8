// `baton bench relay`: the hand-off between two models, measured. Reads arguments, starts the processes and prints; the
// measuring is @baton/split/bench's.
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { MANIFEST_FILE, parseManifest } from '@baton/compiler/manifest';
import { loadTask } from '@baton/eval/node';
import { TARGETS, type TargetId } from '@baton/runtime';
import { resolveModel } from '@baton/runtime/node';
import type { TextModel } from '@baton/runtime/text-model';
import {
  BENCH_PARTS,
  benchRelay,
  type BenchPart,
  type ContextPair,
  type RelayBench,
} from '@baton/split/bench';
import { Command, Option } from 'commander';
import { openModelArgument } from '../model-argument.ts';
import { writeRandomPair } from '../random-pair.ts';
import { startEndpoint, type EndpointProcess } from '../relay-endpoint.ts';
import { positiveNumber, positiveNumbers } from '../number-arguments.ts';
import { checkOutFile } from '../out-argument.ts';
import { list, print } from './bench-arguments.ts';

interface RelayFlags {
  small: string;
  large: string;
  target: TargetId | 'auto';
  questions: string;
  latency: number[];
  limit: number;
  rounds: number;
  agreement: number;
  context: number;
  only: BenchPart[];
  random: boolean;
  out?: string;
  json?: boolean;
}

/** The command, ready to be put under `baton bench`. */
export function relayCommand(): Command {
  return new Command('relay')
    .description(
      'hand-off and hand-back between two models, serial and pipelined, with added latency, beside the ideal',
    )
    .option('--small <model>', 'small model', 'demo-small')
    .option('--large <model>', 'large model; served over HTTP by a process of its own', 'demo-large')
    .addOption(
      new Option('--target <target>', 'execution target of both (auto: the fastest here, by measurement)')
        .choices([...TARGETS, 'auto'])
        .default('auto'),
    )
    .option(
      '--questions <task|file>',
      'a task that ships with baton, or JSONL with a "question" in each line',
      'arithmetic',
    )
    .option('--latency <ms>', 'added round trips, comma-separated', positiveNumbers, [20, 80, 200])
    .option('--limit <n>', 'questions for the protocols', positiveNumber, 10)
    .option('--rounds <n>', 'how often each protocol answers each of them', positiveNumber, 3)
    .option('--agreement <n>', 'questions for the comparison with exhaustive probing', positiveNumber, 80)
    .option('--context <tokens>', 'context of the hand-off measurement', positiveNumber, 1000)
    .option('--no-random', 'leave out the larger pair of random weights at that context')
    .option(
      '--only <parts>',
      `of ${BENCH_PARTS.join(', ')}; the others stay as they are in --out`,
      list(BENCH_PARTS),
      [...BENCH_PARTS],
    )
    .option('--out <file>', 'also write the JSON here')
    .option('--json', 'print JSON')
    .action(relay);
}

async function relay(flags: RelayFlags): Promise<void> {
  if (flags.out !== undefined) await checkOutFile(flags.out);
  const questions = await readQuestions(flags.questions);
  const closing: (() => Promise<unknown>)[] = [];
  try {
    const { target } = flags;
    const small = await openModelArgument(flags.small, { target, threads: 1 });
    closing.push(async () => small.close?.());
    const large = await openModelArgument(flags.large, { target, threads: 1 });
    closing.push(async () => large.close?.());
    const endpoint = await startEndpoint(flags.large, large.location, 1);
    closing.push(() => endpoint.close());
    const pairs: ContextPair[] = [{ small, largeId: large.id, endpoint }];
    if (flags.random && flags.only.includes('context')) {
      // A thousand tokens at tens of milliseconds each: one round.
      pairs.push({ ...(await randomPair(flags, closing)), rounds: 1 });
    }
    const measured = await benchRelay({
      small,
      large,
      endpoint,
      questions: questions.slice(0, flags.limit),
      agreementQuestions: questions.slice(0, flags.agreement),
      parts: flags.only,
      latenciesMs: flags.latency,
      rounds: flags.rounds,
      contextTokens: flags.context,
      contextPairs: pairs,
      onProgress: (line) => void process.stderr.write(`${line}\n`),
    });
    const result = { machine: machineOf(), ...(await earlierParts(flags.out)), ...measured };
    await print(result, relayTable, flags.out, flags.json);
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

async function randomPair(
  { small: like, target }: RelayFlags,
  closing: (() => Promise<unknown>)[],
): Promise<{ small: TextModel; largeId: string; endpoint: EndpointProcess }> {
  const pair = await writeRandomPair(like, await vocabularyOf(like));
  closing.push(() => pair.remove());
  const small = await openModelArgument(pair.small, { target, threads: 1 });
  closing.push(async () => small.close?.());
  const endpoint = await startEndpoint(pair.large, small.location, 1);
  closing.push(() => endpoint.close());
  return { small, largeId: endpoint.modelId, endpoint };
}

async function vocabularyOf(model: string): Promise<number> {
  const file = path.join(await resolveModel(model), MANIFEST_FILE);
  return parseManifest(JSON.parse(await readFile(file, 'utf8'))).architecture.vocabSize;
}

/** Parts that an earlier run with the same --out measured. */
async function earlierParts(out: string | undefined): Promise<Partial<RelayBench>> {
  if (out === undefined) return {};
  try {
    const earlier = JSON.parse(await readFile(out, 'utf8')) as Partial<RelayBench>;
    return earlier.schema === 'baton.bench.relay/4' ? earlier : {};
  } catch {
    return {};
  }
}

function machineOf(): { processor: string; cores: number; node: string; platform: string } {
  const [first] = os.cpus();
  return {
    processor: first?.model ?? 'unknown',
    cores: os.availableParallelism(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
  };
}

function relayTable(bench: RelayBench): string {
  const ms = (value: number | null): string => (value === null ? '-' : value.toFixed(1));
  const lines: string[] = [];
  const paced = (bench.paced?.latencies ?? []).map((at) => ({
    ...at,
    pace: `, ${bench.paced!.paceMs} ms a token,`,
  }));
  for (const { latencyMs, figures, pace } of [
    ...(bench.protocols ?? []).map((at) => ({ ...at, pace: '' })),
    ...paced,
  ]) {
    for (const f of figures)
      lines.push(
        `${latencyMs} ms${pace} ${f.protocol.padEnd(12)} ${f.spans} spans: hand-off ${ms(f.handOffMs)}, decision ${ms(f.decisionMs)}, hand-back ${ms(f.handBackMs)}, ` +
          `wall clock ${ms(f.wallClockMs)} (${f.overIdeal.toFixed(2)} of the ideal), ${f.discardedTokens} tokens discarded, ${f.probeTokens} probed`,
      );
  }
  for (const c of bench.contextHandOff ?? [])
    lines.push(
      `${c.latencyMs} ms, ${c.large} at ${c.contextTokens} tokens: first token after ${ms(c.serialMs)} serially, ${ms(c.pipelinedMs)} pipelined (${c.sooner.toFixed(1)} times sooner, at most ${c.ceiling!.toFixed(1)})`,
    );
  for (const e of bench.earlyHandOff ?? [])
    lines.push(
      `${e.latencyMs} ms, a tag of ${e.tagTokens} tokens: first token after ${ms(e.waitedMs)}, sent early ${ms(e.earlyMs)} (${e.sent} sent, ${e.dropped} dropped)`,
    );
  const a = bench.handBackAgreement;
  if (a)
    lines.push(
      `hand-back as exhaustive probing: ${a.equal} of ${a.spans} spans, ${a.probeTokens} tokens probed`,
    );
  return lines.join('\n');
}

async function readQuestions(name: string): Promise<string[]> {
  if (!name.endsWith('.jsonl')) return (await loadTask(name)).problems.map(({ question }) => question);
  const lines = (await readFile(name, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, i) => {
    const { question } = parse(line, `${name}:${i + 1}`);
    if (typeof question !== 'string') throw new Error(`${name}:${i + 1}: no "question" text`);
    return question;
  });
}

function parse(line: string, where: string): { question?: unknown } {
  try {
    return JSON.parse(line) as { question?: unknown };
  } catch (cause) {
    throw new Error(`${where}: not JSON (${(cause as Error).message})`, { cause });
  }
}
