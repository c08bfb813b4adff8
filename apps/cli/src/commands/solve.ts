// `baton solve`: one question through the relay, the trace on the terminal while it is written, or as JSON at the end.

import { writeFileWhole } from '@baton/eval/jsonl';
import { TARGETS } from '@baton/runtime';
import type { TargetId } from '@baton/runtime';
import type { TextModel } from '@baton/runtime/text-model';
import { CARRIES_ON_ALONE, POLICY_HELP, parsePolicy, solveToTrace } from '@baton/split';
import type { Budget, Prices, SolveOptions, Trace } from '@baton/split';
import { PRESETS, endpointPool } from '@baton/split/endpoint';
import { Command, Option } from 'commander';

import { addKeepWarm, refuseForLocal } from '../endpoint-options.ts';
import { openModelArgument } from '../model-argument.ts';
import { amount, positiveNumber, positiveShare, prices, share, wholeNumber } from '../number-arguments.ts';
import { checkOutFile } from '../out-argument.ts';
import { textArgument } from '../text-argument.ts';
import { UsageError } from '../usage-error.ts';
import { TracePrinter } from './solve-printer.ts';

interface Flags {
  questionFile?: string;
  small: string;
  smallModel?: string;
  smallApiKeyEnv?: string;
  large?: string[];
  largeConcurrency?: number;
  largeModel?: string;
  apiKeyEnv?: string;
  preset?: string;
  policy?: string;
  target?: TargetId;
  out?: string;
  json?: boolean;
  maxTokens?: number;
  maxOffload?: number;
  maxSpans?: number;
  maxSpanTokens?: number;
  maxCost?: number;
  maxSeconds?: number;
  spanSeconds?: number;
  prices?: Prices;
  seed?: number;
  temperature?: number;
  topP?: number;
  keepWarm?: boolean;
}

export function solveCommand(): Command {
  const policies = POLICY_HELP.map(([form, what]) => `  ${form.padEnd(18)} ${what}`).join('\n');
  return addKeepWarm(new Command('solve'))
    .description('answer a question with a small model here and a large one for the hard steps')
    .argument('[question]', 'the question')
    .option('--question-file <file>', 'read the question from a file, or from standard input (-)')
    .option(
      '--small <model>',
      'compiled directory, checkpoint directory, demo name, or the address of a bridge or of a server with log-probabilities',
      'demo-small',
    )
    .option('--small-model <id>', 'model id at the small model’s address (default: the first it lists)')
    .option('--small-api-key-env <variable>', 'environment variable that holds the key of that address')
    .option(
      '--large <model>',
      'a local model, or the address of an OpenAI-compatible server; repeatable: the next takes over where one fails (default: demo-large)',
      (value: string, before: string[] | undefined) => [...(before ?? []), value],
    )
    .option('--large-concurrency <n>', 'most requests at once to one endpoint', positiveNumber)
    .option('--large-model <id>', 'model id at the endpoint (default: the first it lists)')
    .option('--api-key-env <variable>', 'environment variable that holds the endpoint’s API key')
    .addOption(
      new Option('--preset <name>', 'kind of endpoint (default: it is asked)').choices(
        PRESETS.map(({ name }) => name),
      ),
    )
    .option('--policy <policy>', 'who writes what (default: learned)')
    .addOption(new Option('--target <target>', 'execution target of the local models').choices(TARGETS))
    .option('--max-offload <ratio>', 'most of the answer that the large model may write', share)
    .option('--max-tokens <n>', 'longest answer, in tokens', wholeNumber)
    .option('--max-spans <n>', 'most offload spans', wholeNumber)
    .option('--max-span-tokens <n>', 'longest offload span, in tokens', wholeNumber)
    .option('--max-cost <amount>', 'most money, with --prices', amount)
    .option('--max-seconds <s>', 'wall clock for the whole answer', amount)
    .option('--span-seconds <s>', 'longest one request to the large model may take (default: 120)', amount)
    .option('--prices <in,cached,out>', 'of the large model per million tokens, e.g. 0.5,0.1,2', prices)
    .option('--seed <n>', 'seed for sampling', wholeNumber)
    .option('--temperature <t>', 'sampling temperature; 0 is greedy', amount)
    .option('--top-p <p>', 'nucleus sampling', positiveShare)
    .option('--out <file>', 'write the trace to this file')
    .option('--json', 'print the trace as JSON')
    .addHelpText('after', `\nPolicies:\n${policies}`)
    .action(run);
}

async function run(given: string | undefined, flags: Flags): Promise<void> {
  checkUsage(flags);
  const policy = parsePolicy(flags.policy ?? 'learned');
  const settings = tuning(flags);
  if (flags.out !== undefined) await checkOutFile(flags.out);
  const question = await textArgument({
    text: given,
    file: flags.questionFile,
    textName: 'the question',
    fileName: '--question-file',
  });
  const control = new AbortController();
  const onInterrupt = (): void => control.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onInterrupt);
  const opened: TextModel[] = [];
  const keep = <T extends TextModel>(model: T): T => (opened.push(model), model);
  try {
    // Asked what it can do while the small model is opened, and never the reason that there is no answer.
    const large = policy.needs.large ? keep(await openLarge(flags)) : null;
    // Also for the large model alone: the small one's template renders the question.
    const { target, smallModel: modelId, smallApiKeyEnv: apiKeyEnv } = flags;
    const { signal } = control;
    const how = { target, modelId, apiKeyEnv, signal, role: 'small' } as const;
    const small = await openModelArgument(flags.small, how).catch((error: unknown) => {
      if (signal.aborted) return null;
      throw error;
    });
    if (!small) {
      process.exitCode = 130;
      process.stderr.write('baton: stopped before anything was written\n');
      return;
    }
    keep(small);
    const printer = flags.json ? null : new TracePrinter(process.stdout);
    const options: SolveOptions = { small, large, policy, ...settings, signal };
    const trace = await solveToTrace(question, options, (event) => printer?.print(event));
    await deliver(trace, flags);
    report(trace, flags.json === true);
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, onInterrupt);
    await Promise.allSettled(opened.map((model) => model.close?.()));
  }
}

/** What commander cannot tell by itself: options that do nothing without another. */
function checkUsage(flags: Flags): void {
  refuseForLocal('--small', [flags.small], {
    '--small-model': flags.smallModel,
    '--small-api-key-env': flags.smallApiKeyEnv,
  });
  refuseForLocal('--large', flags.large ?? ['demo-large'], {
    '--large-model': flags.largeModel,
    '--api-key-env': flags.apiKeyEnv,
    '--preset': flags.preset,
  });
  if (flags.maxCost !== undefined && !flags.prices) throw new UsageError('--max-cost needs --prices');
}

async function deliver(trace: Trace, flags: Flags): Promise<void> {
  const json = `${JSON.stringify(trace, null, 2)}\n`;
  if (flags.json) process.stdout.write(json);
  if (flags.out === undefined) return;
  try {
    await writeFileWhole(flags.out, json);
  } catch (cause) {
    // A trace that was paid for is not lost with the disk.
    if (!flags.json) process.stdout.write(json);
    throw new Error(`--out ${flags.out}: ${(cause as Error).message}; the trace is on standard output`, {
      cause,
    });
  }
}

/** A trace that an error or the person cut short was shown, but the command did not do what it was asked. */
function report(trace: Trace, quiet: boolean): void {
  if (trace.stopReason === 'error') throw new Error(trace.notes.at(-1) ?? 'the run failed');
  if (trace.stopReason === 'aborted') {
    process.exitCode = 130;
    process.stderr.write('baton: stopped; the trace up to here is complete\n');
    return;
  }
  // An answer without the large model is an answer, but nobody should have to read the trace to learn of it.
  const failed = trace.notes.find((note) => note.endsWith(CARRIES_ON_ALONE));
  if (quiet && failed) process.stderr.write(`baton: ${failed}\n`);
}

/** One model, or several endpoints as one: the next takes over where one fails. */
async function openLarge(flags: Flags): Promise<TextModel> {
  const [first = 'demo-large', ...others] = flags.large ?? [];
  if (others.length === 0 && flags.largeConcurrency === undefined) return openOneLarge(first, flags);
  const models = [first, ...others].map((large) => openOneLarge(large, flags));
  const { largeConcurrency: concurrency } = flags;
  return endpointPool(
    (await Promise.all(models)).map((model) => ({
      model,
      ...(concurrency === undefined ? {} : { concurrency }),
    })),
  );
}

async function openOneLarge(large: string, flags: Flags): Promise<TextModel> {
  const { largeModel: modelId, apiKeyEnv, preset, target } = flags;
  return openModelArgument(large, { target, modelId, apiKeyEnv, preset, role: 'large' });
}

function tuning(flags: Flags): Partial<SolveOptions> {
  const budget: Budget = {
    ...(flags.maxOffload === undefined ? {} : { maxOffload: flags.maxOffload }),
    ...(flags.maxTokens === undefined ? {} : { maxTokens: flags.maxTokens }),
    ...(flags.maxSpans === undefined ? {} : { maxSpans: flags.maxSpans }),
    ...(flags.maxSpanTokens === undefined ? {} : { maxSpanTokens: flags.maxSpanTokens }),
    ...(flags.maxCost === undefined ? {} : { maxCost: flags.maxCost }),
    ...(flags.maxSeconds === undefined ? {} : { maxMs: flags.maxSeconds * 1000 }),
  };
  return {
    budget,
    sampling: {
      ...(flags.temperature === undefined ? {} : { temperature: flags.temperature }),
      ...(flags.topP === undefined ? {} : { topP: flags.topP }),
      ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    },
    ...(flags.prices ? { prices: flags.prices } : {}),
    ...(flags.spanSeconds === undefined ? {} : { spanMs: flags.spanSeconds * 1000 }),
    ...(flags.keepWarm === undefined ? {} : { keepWarm: flags.keepWarm }),
  };
}
