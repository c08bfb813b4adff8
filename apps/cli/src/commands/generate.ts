// `baton generate`: one model continues a raw prompt. No relay, no chat template: what is given is what it continues.

import {
  RuntimeError,
  TARGETS,
  type FinishReason,
  type Sampling,
  type TargetId,
  type TextChunk,
  type Usage,
} from '@baton/runtime';
import { openLocal } from '@baton/runtime/node';
import { Command, Option } from 'commander';
import { checkLocalModel } from '../model-argument.ts';
import { amount, positiveShare, share, wholeNumber } from '../number-arguments.ts';
import { targetsFor } from '../targets-for.ts';
import { textArgument } from '../text-argument.ts';
import { UsageError } from '../usage-error.ts';

interface GenerateCommandOptions {
  model: string;
  prompt?: string;
  promptFile?: string;
  maxTokens: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  seed?: number;
  stop?: string[];
  target?: TargetId;
  json?: boolean;
}

/** Streams the text to stdout, or with --json prints {text, tokenIds, finishReason, stopped, usage, model, target, notes}. */
export function generateCommand(): Command {
  return new Command('generate')
    .description('continue a raw prompt with one model')
    .requiredOption(
      '--model <dir|name>',
      'compiled directory, checkpoint directory, or demo-small / demo-large',
    )
    .option('--prompt <text>', 'text to continue, special tokens recognised')
    .option('--prompt-file <file>', 'the same from a file, or from standard input (-)')
    .option('--max-tokens <n>', 'most tokens to generate', wholeNumber, 256)
    .option('--temperature <t>', '0 = greedy (default)', amount)
    .option('--top-p <p>', 'nucleus', positiveShare)
    .option('--top-k <k>', 'likeliest k only', wholeNumber)
    .option('--min-p <p>', 'at least this share of the likeliest', share)
    .option('--seed <n>', 'same seed, same text', wholeNumber)
    .option('--stop <text>', 'end before this text (repeatable)', (text: string, before: string[] = []) => [
      ...before,
      text,
    ])
    .addOption(new Option('--target <target>', 'execution target').choices(TARGETS))
    .option('--json', 'print JSON')
    .action(generate);
}

async function generate(options: GenerateCommandOptions): Promise<void> {
  const prompt = await textArgument({
    text: options.prompt,
    file: options.promptFile,
    textName: '--prompt',
    fileName: '--prompt-file',
  });
  if (prompt === '') throw new UsageError('the prompt is empty: give a text to continue');
  await checkLocalModel(options.model);
  const model = await openLocal(options.model, {
    target: options.target,
    ...(await targetsFor(options.target)),
  });
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.once('SIGINT', interrupt);
  try {
    const { maxTokens, stop = [] } = options;
    const stream = model.generate(prompt, {
      maxTokens,
      stop,
      sampling: sampling(options),
      signal: abort.signal,
    });
    const result = await collect(stream, options.json ? null : (text) => process.stdout.write(text));
    if (options.json) console.log(JSON.stringify({ ...result, model: model.id, target: model.location }));
    else process.stdout.write('\n');
    for (const note of options.json ? [] : result.notes) console.error(`note: ${note}`);
  } catch (error) {
    if (!(error instanceof RuntimeError && error.code === 'context-full')) throw error;
    const tokens = model.tokenizer.encodeSequence(prompt).length;
    const slots = Math.max(...model.manifest.capacities);
    throw new Error(
      `the prompt has ${tokens} tokens and ${model.id} has ${slots} slots; shorten it, or compile the model with a larger --context`,
      { cause: error },
    );
  } finally {
    process.removeListener('SIGINT', interrupt);
    await model.close();
  }
}

interface Result {
  text: string;
  tokenIds: number[];
  finishReason: FinishReason | null;
  stopped: string | null;
  usage: Usage | null;
  notes: string[];
}

async function collect(
  stream: AsyncIterable<TextChunk>,
  show: ((text: string) => void) | null,
): Promise<Result> {
  const result: Result = {
    text: '',
    tokenIds: [],
    finishReason: null,
    stopped: null,
    usage: null,
    notes: [],
  };
  for await (const chunk of stream) {
    show?.(chunk.text);
    result.text += chunk.text;
    result.tokenIds.push(...chunk.tokenIds);
    result.notes.push(...(chunk.notes ?? []));
    result.finishReason = chunk.finishReason ?? result.finishReason;
    result.stopped = chunk.stopped ?? result.stopped;
    result.usage = chunk.usage ?? result.usage;
  }
  return result;
}

function sampling(options: GenerateCommandOptions): Sampling {
  const { temperature, topP, topK, minP, seed } = options;
  const given = Object.entries({ temperature, topP, topK, minP, seed }).filter(
    ([, value]) => value !== undefined,
  );
  return Object.fromEntries(given) as Sampling;
}
