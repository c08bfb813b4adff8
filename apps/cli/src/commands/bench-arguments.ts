// What the sub-commands of `baton bench` share: lists of words as arguments, and how a result is printed and kept.
import { writeFileWhole } from '@baton/eval/jsonl';
import { InvalidArgumentError, Option } from 'commander';
import { positiveNumbers } from '../number-arguments.ts';

/** Writes the JSON to `out`, where given, and prints it or its table. */
export async function print<T>(
  result: T,
  text: (result: T) => string,
  out?: string,
  json?: boolean,
): Promise<void> {
  if (out !== undefined) await writeFileWhole(out, `${JSON.stringify(result, null, 2)}\n`);
  console.log(json ? JSON.stringify(result) : text(result));
}

/** Parses a comma-separated list of words out of `words`. */
export function contextOption(): Option {
  return new Option('--context <tokens>', 'context lengths to decode at, comma-separated')
    .argParser(positiveNumbers)
    .default([128, 512, 1000]);
}

export function list<T extends string>(words: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(',').map((word) => {
      const known = words.find((w) => w === word.trim());
      if (known === undefined) throw new InvalidArgumentError(`"${word}" is none of ${words.join(', ')}.`);
      return known;
    });
}
