// How soon the first large token comes at a long context, with and without streaming prefill.

import type { TextModel } from '@baton/runtime/text-model';

import { OpenAICompletionsModel } from '../endpoint/openai-completions.ts';

export interface ContextHandOff {
  latencyMs: number;
  contextTokens: number;
  /** Nothing of the context is in the endpoint's cache. */
  coldMs: number;
  /** All but the last words are. */
  warmMs: number;
  /** coldMs / warmMs. */
  sooner: number;
  /** The same without the round trip, which no protocol avoids. */
  soonerWithoutRoundTrip: number;
}

const SENTENCE = 'Then, the pens left: 1692-92=1600.\n';

/** `large` is the model behind `url`; its tokenizer measures the context. */
export async function contextHandOff(
  url: string,
  large: TextModel,
  contextTokens: number,
  latencyMs: number,
): Promise<ContextHandOff> {
  const endpoint = new OpenAICompletionsModel({ url, model: large.id });
  const session = await large.openSession!();
  const { capacity } = await session.state();
  const wanted = Math.min(contextTokens, capacity - 16);
  const per = (await session.encode(SENTENCE)).length;
  await session.close();
  // A different first line each time, so that no earlier run's cache helps the cold one.
  const context = (n: number): string => `${n + latencyMs}\n${SENTENCE.repeat(Math.floor(wanted / per))}`;
  const cold: number[] = [];
  const warm: number[] = [];
  for (let round = 0; round < 3; round++) {
    const text = context(1000 * (round + 1));
    cold.push(await firstTokenMs(endpoint, text));
    // The cache now holds the context; the answer has since grown by a few tokens.
    warm.push(await firstTokenMs(endpoint, `${text}First`));
  }
  const coldMs = Math.min(...cold);
  const warmMs = Math.min(...warm);
  return {
    latencyMs,
    contextTokens: Math.floor(wanted / per) * per,
    coldMs,
    warmMs,
    sooner: coldMs / warmMs,
    soonerWithoutRoundTrip: (coldMs - latencyMs) / Math.max(0.1, warmMs - latencyMs),
  };
}

async function firstTokenMs(model: TextModel, prompt: string): Promise<number> {
  const started = performance.now();
  let first: number | null = null;
  for await (const chunk of model.generate(prompt, { maxTokens: 2, sampling: { temperature: 0 } })) {
    if (first === null && (chunk.tokenIds.length > 0 || chunk.text !== ''))
      first = performance.now() - started;
  }
  return first ?? performance.now() - started;
}
