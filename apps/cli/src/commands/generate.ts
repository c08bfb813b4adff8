// `baton generate`: one model continues a raw prompt. No relay, no chat template: what is given is what it continues.

import {
  TARGETS,
  type FinishReason,
  type Sampling,
  type TargetId,
  type TextChunk,
  type Usage,
} from '@baton/runtime';
import { openLocal } from '@baton/runtime/node';
import { Command, Option } from 'commander';
import { number, wholeNumber } from '../number-arguments.ts';
import { targetsFor } from '../targets-for.ts';

interface GenerateCommandOptions {
  model: string;
  prompt: string;
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
    .requiredOption('--prompt <text>', 'text to continue, special tokens recognised')
    .option('--max-tokens <n>', 'most tokens to generate', wholeNumber, 256)
    .option('--temperature <t>', '0 = greedy (default)', number)
    .option('--top-p <p>', 'nucleus', number)
    .option('--top-k <k>', 'likeliest k only', wholeNumber)
    .option('--min-p <p>', 'at least this share of the likeliest', number)
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
  const model = await openLocal(options.model, {
    target: options.target,
    ...(await targetsFor(options.target)),
  });
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.once('SIGINT', interrupt);
  try {
    const { maxTokens, stop = [] } = options;
    const stream = model.generate(options.prompt, {
      maxTokens,
      stop,
      sampling: sampling(options),
      signal: abort.signal,
    });
    const result = await collect(stream, options.json ? null : (text) => process.stdout.write(text));
    if (options.json) console.log(JSON.stringify({ ...result, model: model.id, target: model.location }));
    else process.stdout.write('\n');
    for (const note of options.json ? [] : result.notes) console.error(`note: ${note}`);
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
