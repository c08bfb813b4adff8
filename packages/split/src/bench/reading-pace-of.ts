// How fast a large model reads, with nothing else to do: how much longer one token behind a long text takes than behind a short one.

import type { TextModel } from '@baton/runtime/text-model';

import { median } from './middle.ts';

const SHORT = 100;
const LONG = 900;
const ROUNDS = 7;

/** Milliseconds for a character of `text`, whose beginnings are read, each behind another first line. */
export async function readingPaceOf(large: TextModel, text: string, signal?: AbortSignal): Promise<number> {
  const took = { short: [] as number[], long: [] as number[] };
  const most = Math.min(LONG, text.length);
  const least = Math.floor(Math.min(SHORT, most / 2));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, length] of [
      ['short', least],
      ['long', most],
    ] as const) {
      // Nothing of it is in the cache.
      const prompt = `${round} ${name} ${performance.now()}\n${text.slice(0, length)}`;
      const began = performance.now();
      for await (const _ of large.generate(prompt, { maxTokens: 1, ...(signal ? { signal } : {}) }));
      took[name].push(performance.now() - began);
    }
  }
  const [short, long] = [median(took.short)!, median(took.long)!];
  return Math.max(0, long - short) / (most - least);
}
