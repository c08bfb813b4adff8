// `baton eval`: several policies over one task, resumable, ending in one report. Models are opened only when something is
// left to run, and once for all policies.

import { evaluate, loadTask } from '@baton/eval/node';
import type { Arm } from '@baton/eval/node';
import { matchedName, matchedProfile, matchedRandom } from '@baton/eval';
import type { ArmProgress, ArmRuns, EvalReport } from '@baton/eval';
import { TARGETS } from '@baton/runtime';
import type { TargetId } from '@baton/runtime';
import type { Sampling, TextModel } from '@baton/runtime/text-model';
import { POLICY_HELP, parsePolicy, solveToTrace } from '@baton/split';
import type { Policy, Prices } from '@baton/split';
import { Command, Option } from 'commander';

import { counted } from '../counted.ts';
import { addKeepWarm, refuseForLocal } from '../endpoint-options.ts';
import { identifyModelArgument, isUrl, openModelArgument } from '../model-argument.ts';
import { amount, positiveNumber, positiveShare, prices, share, wholeNumber } from '../number-arguments.ts';
import { checkOutFolder } from '../out-argument.ts';
import { progressLine } from '../progress-line.ts';

interface EvalCommandOptions {
  task: string;
  policy: string[];
  samples: number;
  limit?: number;
  out: string;
  small: string;
  large: string;
  largeModel?: string;
  apiKeyEnv?: string;
  preset?: string;
  target?: TargetId;
  threads?: number;
  temperature: number;
  topP?: number;
  seed: number;
  maxTokens?: number;
  maxOffload?: number;
  prices?: Prices;
  concurrency: number;
  keepWarm?: boolean;
  retryErrors?: boolean;
  reportOnly?: boolean;
  json?: boolean;
}

/** The control arm of this command alone: it needs the runs of an arm before it. */
const MATCHED = 'random:matched';

/** Prints the report's Markdown path and a summary, or with --json the report (schema baton.eval-report/1). */
export function evalCommand(): Command {
  const collect = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];
  return addKeepWarm(new Command('eval'))
    .description('compare policies on a task: accuracy, offload ratio, times, with confidence intervals')
    .requiredOption(
      '--task <name|file>',
      'a task that ships with baton, or a .jsonl of {"id","question","answer"}',
    )
    .requiredOption('--policy <policy>', 'policy to run (repeatable; see below)', collect)
    .requiredOption('--out <dir>', 'folder for traces and report; the same command goes on where it stopped')
    .option('--samples <n>', 'runs per problem', positiveNumber, 1)
    .option('--limit <n>', 'only the first n problems', positiveNumber)
    .option('--small <dir|name|url>', 'small model', 'demo-small')
    .option('--large <dir|name|url>', 'large model', 'demo-large')
    .option('--large-model <id>', 'model id at the large URL')
    .option('--api-key-env <var>', 'environment variable that holds the key for the large URL')
    .option(
      '--preset <name>',
      'kind of server: vllm, sglang, llama.cpp, ollama, deepseek ... (default: it is asked)',
    )
    .addOption(new Option('--target <target>', 'execution target of local models').choices(TARGETS))
    .option('--threads <n>', 'threads inside one operator of a local model', positiveNumber)
    .option('--temperature <t>', '0 = greedy', amount, 0)
    .option('--top-p <p>', 'nucleus', positiveShare)
    .option('--seed <n>', 'seed of all draws', wholeNumber, 1)
    .option('--max-tokens <n>', 'most tokens of one answer', positiveNumber)
    .option('--max-offload <r>', 'highest offload ratio of one answer', share)
    .option('--prices <in,cached,out>', 'of the large model per million tokens, to report costs', prices)
    .option('--concurrency <n>', 'problems at the same time (for remote models)', positiveNumber, 1)
    .option('--retry-errors', 'run again what a failing endpoint or model cut short')
    .option('--report-only', 'run nothing, report what the folder holds')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', policyHelp)
    .action(runEval);
}

function policyHelp(): string {
  const rows = [
    ...POLICY_HELP,
    [MATCHED, 'as often and as long as the last policy before it that hands off'] as const,
  ];
  return `\nPolicies:\n${rows.map(([form, what]) => `  ${form.padEnd(18)} ${what}`).join('\n')}`;
}

async function runEval(options: EvalCommandOptions): Promise<void> {
  refuseForLocal('--large', [options.large], {
    '--large-model': options.largeModel,
    '--api-key-env': options.apiKeyEnv,
    '--preset': options.preset,
  });
  const policies = options.policy.map((name) => ({
    name,
    fixed: name === MATCHED ? null : parsePolicy(name),
  }));
  const task = await loadTask(options.task);
  await checkOutFolder(options.out);
  const needs = {
    small: true,
    large: policies.some(({ fixed }) => fixed?.needs.large ?? true),
  };
  const pair = modelPair(options, needs);
  const { abort, dispose } = abortOnInterrupt();
  try {
    const { report, written } = await evaluate({
      task,
      arms: policies.map(({ name, fixed }) => arm(name, fixed, pair, options)),
      settings: {
        small: await pair.identify('small'),
        large: await pair.identify('large'),
        temperature: options.temperature,
        maxTokens: options.maxTokens ?? null,
        maxOffload: options.maxOffload ?? null,
        topP: options.topP ?? null,
        prices: options.prices ? Object.values(options.prices).join(', ') : null,
        seed: options.seed,
      },
      out: options.out,
      samples: options.samples,
      concurrency: options.concurrency,
      ...(options.limit === undefined ? {} : { limit: options.limit }),
      retryErrors: options.retryErrors ?? false,
      reportOnly: options.reportOnly ?? false,
      signal: abort.signal,
      onProgress: showProgress(),
    });
    if (options.json) console.log(JSON.stringify(report, null, 2));
    else console.log(summary(report, written.at(-1)!));
    sayErrors(report);
    if (report.complete) return;
    const done = report.arms.reduce((sum, one) => sum + one.runs, 0);
    const all = report.problems * report.samples * policies.length;
    const why = report.failures[0] ? `; first failure: ${report.failures[0].message}` : '';
    throw new Error(
      `${all - done} of ${all} runs are missing${why}; the same command goes on where it stopped`,
    );
  } finally {
    dispose();
    await pair.close();
  }
}

/** Tells of runs that an error cut short, which are in the accuracy like all others. Throws where a policy has no other runs. */
function sayErrors({ arms }: EvalReport): void {
  const lines = arms
    .filter(({ errors }) => errors.runs > 0)
    .map(({ arm, runs, errors }) => ({
      all: errors.runs === runs,
      line: `${arm}: an error cut ${errors.runs} of ${counted(runs, 'run')} short (${Object.keys(errors.reasons)[0]})`,
    }));
  const fatal = lines.findLast(({ all }) => all);
  for (const one of lines) if (one !== fatal) process.stderr.write(`baton: ${one.line}\n`);
  if (fatal) throw new Error(`${fatal.line}; --retry-errors runs them again`);
}

interface ModelPair {
  small(): Promise<TextModel>;
  large(): Promise<TextModel>;
  /** Name for the report; null for a model that no policy needs. */
  identify(role: 'small' | 'large'): Promise<string | null>;
  close(): Promise<void>;
}

function modelPair(options: EvalCommandOptions, needs: { small: boolean; large: boolean }): ModelPair {
  const { target, threads, largeModel, apiKeyEnv, preset } = options;
  const arguments_ = {
    small: { argument: options.small, how: { target, threads, role: 'small' as const } },
    large: {
      argument: options.large,
      how: { target, threads, modelId: largeModel, apiKeyEnv, preset, role: 'large' as const },
    },
  };
  const opened = new Map<string, Promise<TextModel>>();
  const open = (role: 'small' | 'large'): Promise<TextModel> => {
    const { argument, how } = arguments_[role];
    const model = opened.get(role) ?? openModelArgument(argument, how);
    opened.set(role, model);
    return model;
  };
  return {
    small: () => open('small'),
    large: () => open('large'),
    identify: async (role) => {
      const { argument, how } = arguments_[role];
      return needs[role] ? identifyModelArgument(argument, how) : null;
    },
    async close() {
      const models = await Promise.allSettled(opened.values());
      for (const model of models) if (model.status === 'fulfilled') await model.value.close?.();
    },
  };
}

function arm(name: string, fixed: Policy | null, pair: ModelPair, options: EvalCommandOptions): Arm {
  return {
    name,
    policyAfter(finished) {
      const matched = fixed ? undefined : lastThatHandsOff(finished);
      return matched ? matchedName(matched.arm) : null;
    },
    async open(finished) {
      const matched = lastThatHandsOff(finished);
      const policy = fixed ?? matchedRandom(matchedProfile(matched?.traces ?? []), matched?.arm ?? '');
      // The large model alone is asked with the small one's rendering too, so that all arms answer the same prompt.
      const small = await pair.small();
      const large = policy.needs.large ? await pair.large() : null;
      return (problem, run) =>
        solveToTrace(problem.question, {
          small,
          large,
          policy,
          sampling: samplingOf(options, run.seed),
          ...(options.prices ? { prices: options.prices } : {}),
          budget: {
            ...(options.maxTokens === undefined ? {} : { maxTokens: options.maxTokens }),
            ...(options.maxOffload === undefined ? {} : { maxOffload: options.maxOffload }),
          },
          // In one process warm-up requests would only take the small model's cores.
          keepWarm: options.keepWarm ?? (isUrl(options.large) && !large?.capabilities.billed),
          signal: run.signal,
        });
    },
  };
}

function samplingOf(options: EvalCommandOptions, seed: number): Sampling {
  const { temperature, topP } = options;
  return { temperature, seed, ...(topP === undefined ? {} : { topP }) };
}

function lastThatHandsOff(finished: readonly ArmRuns[]): ArmRuns | undefined {
  return finished.findLast(({ scored }) =>
    scored.some((run) => run.offloadRatio > 0 && run.offloadRatio < 1),
  );
}

/** Ctrl-C ends the run in good order; a second one ends the process at once. */
function abortOnInterrupt(): { abort: AbortController; dispose: () => void } {
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.once('SIGINT', interrupt);
  return { abort, dispose: () => process.removeListener('SIGINT', interrupt) };
}

function showProgress(): (progress: ArmProgress) => void {
  const show = progressLine();
  const started = performance.now();
  return ({ arm, finished, total, failed }) => {
    const failures = failed > 0 ? `, ${failed} failed` : '';
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    show(`${arm}: ${finished} of ${total}${failures}, ${seconds} s`, finished + failed >= total);
  };
}

function summary(report: EvalReport, markdown: string): string {
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  const lines = report.arms.map((one) => {
    const { value, interval } = one.pass1;
    const range = interval ? ` (${percent(interval.low)} to ${percent(interval.high)})` : '';
    return `${one.arm.padEnd(16)} pass@1 ${percent(value)}${range}, offload ratio ${percent(one.offload.pooled)}, ${counted(one.runs, 'run')}`;
  });
  for (const gap of report.gapClosed) {
    if (gap.value !== null && gap.resolved)
      lines.push(`${gap.arm.padEnd(16)} closes ${percent(gap.value)} of the gap from small to large`);
  }
  return `${lines.join('\n')}\n${markdown}`;
}
