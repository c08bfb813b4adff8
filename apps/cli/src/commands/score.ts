// `baton score`: the log-probability a model gives to every token of a text. For checking a compiled model against
// another implementation, and for perplexity.

import { openLocal } from '@baton/runtime/node';
import { Command, Option } from 'commander';
import { TARGETS, type TargetId } from '@baton/runtime';
import { counted } from '../counted.ts';
import { checkLocalModel } from '../model-argument.ts';
import { wholeNumber } from '../number-arguments.ts';
import { targetsFor } from '../targets-for.ts';
import { textArgument } from '../text-argument.ts';

interface ScoreOptions {
  model: string;
  text?: string;
  textFile?: string;
  ids?: number[];
  top: number;
  target?: TargetId;
  json?: boolean;
}

/** Prints one entry per token: {id, logprob, top: [{id, logprob}]}; the first token's logprob is null. */
export function scoreCommand(): Command {
  return new Command('score')
    .description("per-position log-probabilities of a text (natural log; the first token's is null)")
    .requiredOption(
      '--model <dir|name>',
      'compiled directory, checkpoint directory, or demo-small / demo-large',
    )
    .addOption(new Option('--text <text>', 'text to score, special tokens recognised').conflicts('ids'))
    .addOption(
      new Option('--text-file <file>', 'the same from a file, or from standard input (-)').conflicts('ids'),
    )
    .addOption(new Option('--ids <ids>', 'token ids to score, e.g. 1,2,3').argParser(parseIds))
    .option('--top <k>', 'alternatives per position', wholeNumber, 0)
    .addOption(new Option('--target <target>', 'execution target').choices(TARGETS))
    .option('--json', 'print JSON')
    .action(score);
}

async function score(options: ScoreOptions): Promise<void> {
  const { ids, text, textFile: file } = options;
  const input =
    ids !== undefined
      ? { ids }
      : { text: await textArgument({ text, file, textName: '--text or --ids', fileName: '--text-file' }) };
  await checkLocalModel(options.model);
  const model = await openLocal(options.model, {
    target: options.target,
    ...(await targetsFor(options.target)),
  });
  try {
    const scored = await model.score(input, options.top);
    if (options.json) {
      console.log(JSON.stringify(scored));
      return;
    }
    const name = (id: number): string =>
      model.hasTokenizer ? JSON.stringify(model.tokenizer.tokenText(id)) : `#${id}`;
    for (const { id, logprob, top } of scored) {
      const others = top.map((t) => `${name(t.id)} ${t.logprob.toFixed(4)}`);
      console.log(
        [String(id).padStart(6), (logprob?.toFixed(6) ?? '-').padStart(12), name(id), ...others].join('  '),
      );
    }
    const known = scored.map((s) => s.logprob).filter((p) => p !== null);
    if (known.length > 0) {
      const mean = known.reduce((a, b) => a + b, 0) / known.length;
      console.log(
        `${counted(scored.length, 'token')}, mean log-probability ${mean.toFixed(6)}, perplexity ${Math.exp(-mean).toFixed(4)}`,
      );
    }
  } finally {
    await model.close();
  }
}

function parseIds(text: string): number[] {
  return text.split(',').map((id) => wholeNumber(id.trim()));
}
