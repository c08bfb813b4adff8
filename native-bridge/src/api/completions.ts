// POST /v1/completions: raw text (or token ids) in, its continuation out, whole or streamed. Field reference: OpenAI API
// reference, legacy completions; `token_ids` and `stop_reason` of a choice as vLLM has them.
import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { ApiError } from '../api-error.ts';
import type { Engine, EngineChunk, Prompt } from '../engine/engine.ts';
import {
  MOST_CHOICES,
  generateOptions,
  generationFields,
  maxTokensField,
  mostTokens,
  parseBody,
  unsupported,
} from './generation-fields.ts';
import { TextOffsets, completionLogprobs, textOf, type CompletionLogprobs } from './logprobs.ts';
import { UsageSum, extensions, finishReason } from './run-request.ts';

const id = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = v.pipe(v.string(), v.minLength(1));

const schema = v.object({
  ...generationFields,
  prompt: v.union([
    text,
    v.pipe(v.array(id), v.minLength(1)),
    v.pipe(v.array(text), v.minLength(1), v.maxLength(MOST_CHOICES)),
    v.pipe(v.array(v.pipe(v.array(id), v.minLength(1))), v.minLength(1), v.maxLength(MOST_CHOICES)),
  ]),
  max_tokens: maxTokensField,
  logprobs: v.nullish(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(20))),
  echo: v.nullish(v.boolean()),
  best_of: v.nullish(v.number()),
  suffix: unsupported('infilling (suffix)', ''),
});

/** OpenAI's default. */
const DEFAULT_MAX_TOKENS = 16;

export type CompletionRequest = v.InferOutput<typeof schema>;

interface Choice {
  index: number;
  text: string;
  logprobs: CompletionLogprobs | null;
  finish_reason: 'stop' | 'length' | null;
  stop_reason: string | null;
  token_ids: readonly number[];
}

export function parseCompletion(body: unknown): CompletionRequest {
  const request = parseBody(schema, body);
  if (request.best_of && request.best_of !== (request.n ?? 1))
    throw new ApiError(400, 'best_of: only the value of n is supported', { param: 'best_of' });
  if (promptsOf(request).length * (request.n ?? 1) > MOST_CHOICES)
    throw new ApiError(400, `prompt: at most ${MOST_CHOICES} choices in one request`, { param: 'prompt' });
  return request;
}

/** Events of the stream; without `stream` joined by `completionBody`. The last one has the usage and no choice. */
export async function* completionEvents(
  engine: Engine,
  request: CompletionRequest,
  signal: AbortSignal,
): AsyncGenerator<{ choices: Choice[]; usage?: object | null; notes?: readonly string[] }> {
  const head = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: engine.info.id,
  };
  const usage = new UsageSum();
  const n = request.n ?? 1;
  for (const [p, prompt] of promptsOf(request).entries()) {
    for (let k = 0; k < n; k++) {
      for await (const { choice, chunk } of choiceEvents(engine, request, prompt, k, signal)) {
        usage.add(chunk.usage, k === 0);
        yield { ...head, choices: [{ ...choice, index: p * n + k }], ...extensions(chunk) };
      }
    }
  }
  yield { ...head, choices: [], usage: usage.body() };
}

async function* choiceEvents(
  engine: Engine,
  request: CompletionRequest,
  prompt: Prompt,
  k: number,
  signal: AbortSignal,
): AsyncGenerator<{ choice: Omit<Choice, 'index'>; chunk: EngineChunk }> {
  const top = request.logprobs ?? 0;
  const wanted = request.logprobs !== null && request.logprobs !== undefined;
  const bytes = (token: number): Uint8Array | undefined => engine.tokenBytes(token);
  const offsets = new TextOffsets();
  if (request.echo) {
    signal.throwIfAborted();
    const echoed = await echo(engine, prompt, wanted ? top : null, offsets);
    // Scoring has read the whole prompt; where nothing is to be written after it, it is not read again.
    const all = request.max_tokens === 0 && echoed.token_ids.length > 0;
    const usage = { promptTokens: echoed.token_ids.length, completionTokens: 0 };
    yield {
      choice: { ...echoed, finish_reason: all ? 'length' : null, stop_reason: null },
      chunk: { text: '', tokenIds: [], ...(all ? { usage } : {}) },
    };
    if (all) return;
  }
  const options = {
    ...generateOptions(request, k, mostTokens(request.max_tokens, DEFAULT_MAX_TOKENS)),
    ...(wanted ? { topLogprobs: top } : {}),
    signal,
  };
  for await (const chunk of engine.generate(prompt, options)) {
    const logprobs =
      wanted && chunk.logprobs ? completionLogprobs(chunk.logprobs, offsets, top, bytes) : null;
    const stopped = chunk.stopped !== undefined && options.stop?.includes(chunk.stopped);
    yield {
      choice: {
        text: chunk.text,
        logprobs,
        finish_reason: finishReason(chunk),
        stop_reason: stopped ? chunk.stopped! : null,
        token_ids: chunk.tokenIds,
      },
      chunk,
    };
  }
}

/** The prompt as the beginning of the answer, with its own log-probabilities where they are asked for. */
async function echo(
  engine: Engine,
  prompt: Prompt,
  top: number | null,
  offsets: TextOffsets,
): Promise<Pick<Choice, 'text' | 'logprobs' | 'token_ids'>> {
  const bytes = (token: number): Uint8Array | undefined => engine.tokenBytes(token);
  if (top === null && 'text' in prompt) return { text: prompt.text, logprobs: null, token_ids: [] };
  const scored = await engine.score(prompt, top ?? 0);
  const text = 'text' in prompt ? prompt.text : textOf(scored, bytes);
  const logprobs = top === null ? null : completionLogprobs(scored, offsets, top, bytes);
  return { text, logprobs, token_ids: scored.map((t) => t.id) };
}

/** The whole answer of a request without `stream`. */
export async function completionBody(
  events: AsyncIterable<{ choices: Choice[]; usage?: object | null; origin?: string }>,
): Promise<object> {
  const choices: Choice[] = [];
  let rest: object = {};
  for await (const { choices: news, origin: _, ...head } of events) {
    for (const choice of news) choices[choice.index] = joined(choices[choice.index], choice);
    rest = { ...rest, ...head };
  }
  return { ...rest, choices };
}

function joined(sofar: Choice | undefined, next: Choice): Choice {
  if (!sofar) return next;
  const { logprobs: a } = sofar;
  const { logprobs: b } = next;
  return {
    index: next.index,
    text: sofar.text + next.text,
    logprobs: a && b ? joinedLogprobs(a, b) : (a ?? b),
    finish_reason: next.finish_reason ?? sofar.finish_reason,
    stop_reason: next.stop_reason ?? sofar.stop_reason,
    token_ids: [...sofar.token_ids, ...next.token_ids],
  };
}

function joinedLogprobs(a: CompletionLogprobs, b: CompletionLogprobs): CompletionLogprobs {
  return {
    tokens: [...a.tokens, ...b.tokens],
    token_logprobs: [...a.token_logprobs, ...b.token_logprobs],
    top_logprobs: a.top_logprobs && b.top_logprobs ? [...a.top_logprobs, ...b.top_logprobs] : null,
    text_offset: [...a.text_offset, ...b.text_offset],
  };
}

function promptsOf({ prompt }: CompletionRequest): Prompt[] {
  if (typeof prompt === 'string') return [{ text: prompt }];
  if (typeof prompt[0] === 'number') return [{ ids: prompt as number[] }];
  return (prompt as (string | number[])[]).map((p) => (typeof p === 'string' ? { text: p } : { ids: p }));
}
