// One request's life around its generation: a place in the queue, cancellation when the client leaves, the first chunk
// awaited before the status is sent (so that a refused prompt is a 400 and not a broken stream), usage summed up.
import type { Usage } from '@baton/runtime/text-model';
import { ApiError, rateLimit } from '../api-error.ts';
import type { EngineChunk } from '../engine/engine.ts';
import type { RequestQueue } from '../engine/queue.ts';

export interface RunningRequest {
  signal: AbortSignal;
  abort(): void;
  release(): void;
}

/** Waits for a turn. The signal ends with the client's connection or the server's shutdown. */
export async function startRequest(
  queue: RequestQueue,
  client: AbortSignal,
  shutdown: AbortSignal,
): Promise<RunningRequest> {
  const control = new AbortController();
  const signal = AbortSignal.any([client, shutdown, control.signal]);
  const release = await queue.enter(signal);
  return { signal, abort: () => control.abort(), release };
}

/** Takes the first item at once; throws what it throws. */
export async function primed<T>(source: AsyncIterator<T>): Promise<AsyncGenerator<T>> {
  const first = await source.next();
  return (async function* () {
    try {
      if (first.done) return;
      yield first.value;
      for (;;) {
        const next = await source.next();
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await source.return?.();
    }
  })();
}

/** Releases the request's place however the iteration ends. */
export async function* releasing<T>(source: AsyncIterable<T>, running: RunningRequest): AsyncGenerator<T> {
  try {
    yield* source;
  } finally {
    running.release();
  }
}

export class UsageSum {
  #prompt = 0;
  #completion = 0;
  #cached = 0;

  /** `prompt` false for further choices of one prompt, whose tokens are not counted again. */
  add(usage: Usage | undefined, prompt: boolean): void {
    if (!usage) return;
    this.#completion += usage.completionTokens;
    if (!prompt) return;
    this.#prompt += usage.promptTokens;
    this.#cached += Math.min(usage.cachedTokens ?? 0, usage.promptTokens);
  }

  body(): object {
    return {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
      prompt_tokens_details: { cached_tokens: this.#cached },
    };
  }
}

/** OpenAI's finish_reason for the end of a choice; an aborted one has nobody left to read it. */
export function finishReason(chunk: EngineChunk): 'stop' | 'length' | null {
  if (chunk.finishReason === undefined) return null;
  if (chunk.finishReason === 'error') {
    const { trace } = chunk;
    const message = chunk.notes?.at(-1) ?? 'the model failed while it was writing';
    const refused = trace?.segments.at(-1)?.refused;
    const wait = refused?.status === 429 ? rateLimit(refused.retryAfterMs) : null;
    throw new ApiError(wait ? 429 : 500, message, { ...wait, ...(trace && { trace }) });
  }
  return chunk.finishReason === 'length' || chunk.finishReason === 'context' ? 'length' : 'stop';
}

/** Extension fields of a chunk: who wrote it (relay mode), the whole trace at the end, notes for the person. */
export function extensions(chunk: EngineChunk): object {
  return {
    ...(chunk.origin === undefined ? {} : { origin: chunk.origin }),
    ...(chunk.notes === undefined ? {} : { notes: chunk.notes }),
    ...(chunk.trace === undefined ? {} : { trace: chunk.trace }),
  };
}
