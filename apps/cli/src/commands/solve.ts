// `baton solve`: one question through the relay, the trace on the terminal while it is written, or as JSON at the end.

import { writeFile } from 'node:fs/promises';

import { Command, InvalidArgumentError } from 'commander';

import type { TextModel } from '@baton/runtime/text-model';
import { POLICY_HELP, parsePolicy, solveToTrace } from '@baton/split';
import type { Budget, Prices, SolveOptions, Trace } from '@baton/split';
import { connect } from '@baton/split/endpoint';

import { TracePrinter } from './solve-printer.ts';

interface Flags {
  small: string;
  large?: string;
  largeModel?: string;
  apiKeyEnv?: string;
  preset?: string;
  policy?: string;
  target?: string;
  out?: string;
  json?: boolean;
  maxTokens?: number;
  maxOffload?: number;
  maxSpans?: number;
  maxSpanTokens?: number;
  maxCost?: number;
  maxSeconds?: number;
  prices?: Prices;
  seed?: number;
  temperature?: number;
  topP?: number;
  keepWarm?: boolean;
}

export function solveCommand(): Command {
  const policies = POLICY_HELP.map(([form, what]) => `  ${form.padEnd(18)} ${what}`).join('\n');
  return new Command('solve')
    .description('answer a question with a small model here and a large one for the hard steps')
    .argument('<question>', 'the question')
    .option('--small <model>', 'compiled directory, checkpoint directory or demo name', 'demo-small')
    .option(
      '--large <model>',
      'a local model, or the address of an OpenAI-compatible server (default: demo-large)',
    )
    .option('--large-model <id>', 'model id at the endpoint (default: the first it lists)')
    .option('--api-key-env <variable>', 'environment variable that holds the endpoint’s API key')
    .option(
      '--preset <name>',
      'kind of endpoint: vllm, sglang, llama.cpp, ollama, lm-studio, deepseek, mistral, openrouter',
    )
    .option('--policy <policy>', 'who writes what (default: learned)')
    .option('--target <target>', 'execution target of the local models')
    .option('--max-offload <ratio>', 'most of the answer that the large model may write', ratio)
    .option('--max-tokens <n>', 'longest answer, in tokens', whole)
    .option('--max-spans <n>', 'most offload spans', whole)
    .option('--max-span-tokens <n>', 'longest offload span, in tokens', whole)
    .option('--max-cost <amount>', 'most money, with --prices', amount)
    .option('--max-seconds <s>', 'wall clock for the whole answer', amount)
    .option('--prices <in,cached,out>', 'of the large model per million tokens, e.g. 0.5,0.1,2', prices)
    .option('--keep-warm', 'keep the endpoint’s prefix cache warm (default: only where input is not billed)')
    .option('--no-keep-warm', 'send no keep-warm requests')
    .option('--seed <n>', 'seed for sampling', whole)
    .option('--temperature <t>', 'sampling temperature; 0 is greedy', amount)
    .option('--top-p <p>', 'nucleus sampling', ratio)
    .option('--out <file>', 'write the trace to this file')
    .option('--json', 'print the trace as JSON')
    .addHelpText('after', `\nPolicies:\n${policies}`)
    .action(async (question: string, flags: Flags) => {
      await run(question, flags);
    });
}

async function run(question: string, flags: Flags): Promise<void> {
  const policy = parsePolicy(flags.policy ?? 'learned');
  const control = new AbortController();
  const onInterrupt = (): void => control.abort();
  process.once('SIGINT', onInterrupt);
  const opened: TextModel[] = [];
  const keep = <T extends TextModel>(model: T): T => (opened.push(model), model);
  try {
    // Also for the large model alone: the small one's template renders the question.
    const small = keep(await openSmall(flags));
    const large = policy.needs.large ? keep(await openLarge(flags, control.signal)) : null;
    const printer = flags.json ? null : new TracePrinter(process.stdout);
    const options: SolveOptions = { small, large, policy, ...tuning(flags), signal: control.signal };
    const trace = await solveToTrace(question, options, (event) => printer?.print(event));
    if (flags.out) await writeFile(flags.out, `${JSON.stringify(trace, null, 2)}\n`);
    if (flags.json) process.stdout.write(`${JSON.stringify(trace, null, 2)}\n`);
    report(trace);
  } finally {
    process.removeListener('SIGINT', onInterrupt);
    await Promise.allSettled(opened.map((model) => model.close?.()));
  }
}

/** A trace that an error or the person cut short was shown, but the command did not do what it was asked. */
function report(trace: Trace): void {
  if (trace.stopReason === 'error') throw new Error(trace.notes.at(-1) ?? 'the run failed');
  if (trace.stopReason === 'aborted') process.exitCode = 130;
}

async function openSmall(flags: Flags): Promise<TextModel> {
  return openHere(flags.small, flags.target);
}

async function openLarge(flags: Flags, signal: AbortSignal): Promise<TextModel> {
  const large = flags.large ?? 'demo-large';
  if (!isUrl(large)) return openHere(large, flags.target);
  const apiKey = flags.apiKeyEnv === undefined ? undefined : process.env[flags.apiKeyEnv];
  if (flags.apiKeyEnv !== undefined && !apiKey)
    throw new Error(`--api-key-env ${flags.apiKeyEnv}: that environment variable is not set`);
  return connect({
    url: large,
    ...(flags.largeModel === undefined ? {} : { model: flags.largeModel }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(flags.preset === undefined ? {} : { preset: flags.preset }),
    signal,
  });
}

async function openHere(model: string, target: string | undefined): Promise<TextModel> {
  const { openLocal } = await import('@baton/runtime/node');
  return openLocal(model, target === undefined ? {} : { target: target as never });
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
  if (flags.maxCost !== undefined && !flags.prices) throw new Error('--max-cost needs --prices');
  return {
    budget,
    sampling: {
      ...(flags.temperature === undefined ? {} : { temperature: flags.temperature }),
      ...(flags.topP === undefined ? {} : { topP: flags.topP }),
      ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    },
    ...(flags.prices ? { prices: flags.prices } : {}),
    ...(flags.keepWarm === undefined ? {} : { keepWarm: flags.keepWarm }),
  };
}

const isUrl = (text: string): boolean => /^https?:\/\//.test(text);

function whole(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('expected a whole number.');
  return value;
}

function amount(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('expected a number of at least 0.');
  return value;
}

function ratio(text: string): number {
  const value = amount(text);
  if (value > 1) throw new InvalidArgumentError('expected a number from 0 to 1.');
  return value;
}

function prices(text: string): Prices {
  const [input, cachedInput, output, ...rest] = text.split(',').map((part) => amount(part));
  if (input === undefined || cachedInput === undefined || output === undefined || rest.length > 0)
    throw new InvalidArgumentError('expected three numbers: input,cached input,output.');
  return { input, cachedInput, output };
}
