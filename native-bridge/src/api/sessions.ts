// /v1/sessions, /v1/tokenize and /v1/render: a model here, driven step by step by a relay elsewhere (a page whose small
// model runs on this machine's NPU). Names and shapes are those of TextSession; the client is in ../client.
import * as v from 'valibot';
import type { GenerateOptions, Sampling, SyncResult } from '@baton/runtime/text-model';
import { ApiError } from '../api-error.ts';
import type { Engine, StepwiseEngine } from '../engine/engine.ts';
import { templateVariables } from './generation-fields.ts';

const number = v.optional(v.pipe(v.number(), v.finite()));
const whole = v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)));
const ids = v.optional(v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(0))), v.maxLength(256)));

export const syncBody = v.object({ text: v.string(), watch: ids });
export const generateBody = v.object({
  maxTokens: whole,
  stop: v.optional(v.pipe(v.array(v.string()), v.maxLength(16))),
  includeStop: v.optional(v.boolean()),
  topLogprobs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(20))),
  watch: ids,
  sampling: v.optional(
    v.object({
      temperature: number,
      topP: number,
      topK: whole,
      minP: number,
      repetitionPenalty: number,
      presencePenalty: number,
      frequencyPenalty: number,
      seed: number,
      // JSON has no -Infinity: null bans the token.
      logitBias: v.optional(v.record(v.pipe(v.string(), v.regex(/^\d+$/)), v.nullable(v.number()))),
    }),
  ),
});
export const tokenizeBody = v.object({ text: v.string() });
export const renderBody = v.object({
  messages: v.pipe(
    v.array(v.object({ role: v.picklist(['system', 'user', 'assistant']), content: v.string() })),
    v.minLength(1),
  ),
  addGenerationPrompt: v.optional(v.boolean()),
  variables: v.optional(templateVariables),
});

/** Throws 400 where two models answer: their text is nobody's own cache. */
export function stepwise(engine: Engine): StepwiseEngine {
  if (engine.stepwise) return engine.stepwise;
  throw new ApiError(400, `${engine.info.id} is a relay and has no sessions`, { code: 'no_sessions' });
}

export async function* syncEvents(
  engine: StepwiseEngine,
  id: string,
  { text, watch }: v.InferOutput<typeof syncBody>,
  signal: AbortSignal,
): AsyncGenerator<SyncResult & { usage?: null }> {
  engine.refuseEndless(text);
  yield* engine.sessions.use(id, async function* (session) {
    yield await session.sync(text, { signal, ...(watch ? { watch } : {}) });
  });
}

export async function* generateEvents(
  engine: StepwiseEngine,
  id: string,
  body: v.InferOutput<typeof generateBody>,
  signal: AbortSignal,
): AsyncGenerator<object> {
  yield* engine.sessions.use(id, (session) => session.generate(optionsOf(body, signal)));
}

/** The only item. */
export async function only<T>(source: AsyncIterable<T>): Promise<T> {
  for await (const item of source) return item;
  throw new Error('nothing came');
}

function optionsOf(
  { sampling, watch, ...rest }: v.InferOutput<typeof generateBody>,
  signal: AbortSignal,
): GenerateOptions & { watch?: readonly number[] } {
  const { logitBias, ...others } = sampling ?? {};
  const bias = Object.entries(logitBias ?? {}).map(([id, value]) => [id, value ?? -Infinity]);
  return {
    ...defined(rest),
    ...(watch ? { watch } : {}),
    sampling: {
      ...(defined(others) as Sampling),
      ...(logitBias ? { logitBias: Object.fromEntries(bias) } : {}),
    },
    signal,
  };
}

function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as never;
}
