// `baton annotate`: reasoning traces in, traces with offload spans and training rows out.

import { disagreementAnnotator, modelAnnotator } from '@baton/annotate';
import type { Annotate, CountTokens, SpanStart, StepComparison } from '@baton/annotate';
import { annotateFile } from '@baton/annotate/node';
import type { AnnotateFileResult } from '@baton/annotate/node';
import { TARGETS } from '@baton/runtime';
import type { TargetId } from '@baton/runtime';
import type { TextModel } from '@baton/runtime/text-model';
import { Command, Option } from 'commander';

import { counted } from '../counted.ts';
import { identifyModelArgument, openChatArgument, openModelArgument } from '../model-argument.ts';
import { positiveNumber, share, wholeNumber } from '../number-arguments.ts';
import { checkOutFile } from '../out-argument.ts';
import { progressLine } from '../progress-line.ts';
import { UsageError } from '../usage-error.ts';

interface AnnotateCommandOptions {
  out: string;
  annotator?: string;
  annotatorModel?: string;
  apiKeyEnv?: string;
  share: number;
  disagreement?: boolean;
  small: string;
  large?: string;
  compare: StepComparison;
  from: SpanStart;
  mergeGap?: number;
  target?: TargetId;
  limit?: number;
  concurrency?: number;
  json?: boolean;
}

/** Prints what was annotated and where, or with --json counts, statistics, rejected rows and file names. */
export function annotateCommand(): Command {
  return new Command('annotate')
    .description('mark offload spans in reasoning traces and write training rows')
    .argument(
      '<in.jsonl>',
      'traces: {"id","question","trace"}, chat messages, or trace files of `baton eval`',
    )
    .requiredOption(
      '--out <out.jsonl>',
      'annotated traces; training rows, statistics and rejected rows stand beside it',
    )
    .addOption(
      new Option('--annotator <url|dir|name>', 'ask a language model for the hardest passages').conflicts(
        'disagreement',
      ),
    )
    .option('--annotator-model <id>', 'model id at the URL')
    .option('--api-key-env <var>', 'environment variable that holds the key for the URL')
    .option('--share <r>', 'wanted share of the characters (with --annotator)', share, 0.2)
    .option('--disagreement', 'mark the steps that the small model writes differently')
    .option('--small <dir|name|url>', 'small model (with --disagreement)', 'demo-small')
    .option('--large <dir|name|url>', 'compare with this model instead of the trace itself')
    .addOption(
      new Option('--compare <how>', 'what of a step must agree')
        .choices(['exact', 'numbers'])
        .default('exact'),
    )
    .addOption(
      new Option('--from <where>', 'where a span begins: its step, or the word that small gets wrong')
        .choices(['step', 'error'])
        .default('step'),
    )
    .option('--merge-gap <n>', 'spans at most n characters apart become one', wholeNumber)
    .addOption(new Option('--target <target>', 'execution target of local models').choices(TARGETS))
    .option('--limit <n>', 'only the first n traces', positiveNumber)
    .option(
      '--concurrency <n>',
      'traces at the same time (default: 4 with --annotator, else 1)',
      positiveNumber,
    )
    .option('--json', 'print JSON')
    .action(runAnnotate);
}

async function runAnnotate(input: string, options: AnnotateCommandOptions): Promise<void> {
  if (options.annotator === undefined && !options.disagreement) {
    throw new UsageError('say how to annotate: --annotator URL, or --disagreement [--small M] [--large M]');
  }
  await checkOutFile(options.out);
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.once('SIGINT', interrupt);
  const opened: TextModel[] = [];
  const keep = async (model: Promise<TextModel>): Promise<TextModel> => {
    opened.push(await model);
    return model;
  };
  let method: Method | null = null;
  try {
    method =
      options.annotator === undefined ? await byDisagreement(options, keep) : await byModel(options, keep);
    const result = await annotateFile({
      input,
      out: options.out,
      method: method.name,
      annotate: method.annotate,
      concurrency: options.concurrency ?? (options.annotator === undefined ? 1 : 4),
      ...(options.limit === undefined ? {} : { limit: options.limit }),
      ...(method.countTokens ? { countTokens: method.countTokens } : {}),
      signal: abort.signal,
      onProgress: showProgress(),
    });
    if (options.json) console.log(JSON.stringify(result, null, 2));
    else console.log(summary(result));
    if (result.missing > 0)
      throw new Error(`stopped with ${counted(result.missing, 'trace')} left; the same command goes on`);
    if (result.annotated === 0)
      throw new Error(`no trace could be annotated: ${result.rejected[0]?.reason ?? 'none given'}`);
  } finally {
    process.removeListener('SIGINT', interrupt);
    await method?.close();
    for (const model of opened) await model.close?.();
  }
}

interface Method {
  name: string;
  annotate: Annotate;
  countTokens?: CountTokens;
  close(): Promise<void>;
}

/** Keeps a model for closing at the end. */
type Keep = (model: Promise<TextModel>) => Promise<TextModel>;

async function byModel(options: AnnotateCommandOptions, keep: Keep): Promise<Method> {
  const { annotator, annotatorModel: modelId, apiKeyEnv, target, mergeGap } = options;
  const model = await keep(openChatArgument(annotator!, { modelId, apiKeyEnv, target }));
  const identity = await identifyModelArgument(annotator!, { modelId, target });
  return {
    name: `annotator ${identity}, share ${options.share}${mergedBy(mergeGap)}`,
    annotate: modelAnnotator(model, {
      share: options.share,
      ...(mergeGap === undefined ? {} : { mergeGap }),
    }),
    close: async () => undefined,
  };
}

async function byDisagreement(options: AnnotateCommandOptions, keep: Keep): Promise<Method> {
  const { target, compare, from, mergeGap, apiKeyEnv } = options;
  const small = await keep(openModelArgument(options.small, { target }));
  const large =
    options.large === undefined
      ? null
      : await keep(openModelArgument(options.large, { target, apiKeyEnv, role: 'large' }));
  const against =
    options.large === undefined ? 'the trace' : await identifyModelArgument(options.large, { target });
  const compared = disagreementAnnotator({
    small,
    ...(large ? { large } : {}),
    comparison: compare,
    from,
    ...(mergeGap === undefined ? {} : { mergeGap }),
  });
  const counter = await tokenCounter(small);
  return {
    name: `disagreement (${compare}, from ${from}) of ${await identifyModelArgument(options.small, { target })} with ${against}${mergedBy(mergeGap)}`,
    annotate: compared.annotate,
    ...(counter ? { countTokens: counter.count } : {}),
    close: async () => {
      await compared.close();
      await counter?.close();
    },
  };
}

/** Part of a method's name: spans merged otherwise are other spans, and rows that have them are made again. */
function mergedBy(gap: number | undefined): string {
  return gap === undefined ? '' : `, merge gap ${gap}`;
}

/** Tokens as the small model counts them, where it has a tokenizer here. */
async function tokenCounter(
  model: TextModel,
): Promise<{ count: CountTokens; close(): Promise<void> } | null> {
  if (!model.capabilities.sessions || !model.openSession) return null;
  const session = await model.openSession();
  return { count: async (text) => (await session.encode(text)).length, close: () => session.close() };
}

function showProgress(): (progress: { done: number; failed: number; total: number }) => void {
  const show = progressLine();
  return ({ done, failed, total }) => {
    const rejected = failed > 0 ? `, ${failed} rejected` : '';
    show(`${done + failed} of ${counted(total, 'trace')}${rejected}`, done + failed >= total);
  };
}

function summary(result: AnnotateFileResult): string {
  const { statistics, files } = result;
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  const tokens = statistics.tokens ? `, ${percent(statistics.tokens.pooledCoverage)} of the tokens` : '';
  return [
    `${counted(result.annotated, 'trace')} annotated (${result.reused} from before), ${result.rejected.length} rejected`,
    `${counted(statistics.spans, 'span')}, ${percent(statistics.pooledCharacterCoverage)} of the characters${tokens}; ${counted(statistics.rowsWithoutSpan, 'trace')} without a span`,
    files.annotated,
    files.sft,
    files.statistics,
    ...(result.rejected.length > 0 ? [files.rejected] : []),
  ].join('\n');
}
