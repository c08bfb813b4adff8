// Several endpoints as one: the first that works answers, one that fails is left alone for a while, and no more requests
// run at once than each endpoint takes. A stream that breaks off goes on at the next endpoint from where it was.

import type { GenerateOptions, TextChunk, TextModel, TextModelCapabilities } from '@baton/runtime/text-model';

import type { Continuation, ContinuingModel } from '../relay/large-side.ts';
import { isContinuing } from '../relay/large-side.ts';
import { EndpointError, isAbort, messageOf } from '../split-error.ts';
import { tokensOf } from '../relay/large-stream.ts';

export interface PoolMember {
  model: TextModel;
  /** Requests at once. Default: no limit. */
  concurrency?: number;
}

export interface PoolOptions {
  /** How long a failed endpoint is left alone, in milliseconds; a Retry-After that is longer counts instead. Default 30 s. */
  restMs?: number;
  clock?: () => number;
}

interface Slot {
  model: TextModel;
  most: number;
  free: number;
  waiting: (() => void)[];
  restsUntil: number;
}

/** A TextModel over several others, in order of preference. Throws EndpointError when none is given. */
export function endpointPool(members: readonly PoolMember[], options: PoolOptions = {}): TextModel {
  if (members.length === 0) throw new EndpointError('bad-request', 'a pool needs at least one endpoint');
  const slots = members.map(({ model, concurrency }): Slot => ({
    model,
    most: concurrency ?? Infinity,
    free: concurrency ?? Infinity,
    waiting: [],
    restsUntil: 0,
  }));
  return members.some(({ model }) => isContinuing(model))
    ? new ContinuingPool(slots, options)
    : new Pool(slots, options);
}

class Pool implements TextModel {
  readonly slots: readonly Slot[];
  readonly #restMs: number;
  readonly #clock: () => number;
  /** Failures that nobody was told of yet: a request that was withdrawn may have met them. */
  readonly #untold: string[] = [];
  #last: TextModel;

  constructor(slots: readonly Slot[], options: PoolOptions) {
    this.slots = slots;
    this.#restMs = options.restMs ?? 30_000;
    this.#clock = options.clock ?? (() => performance.now());
    this.#last = slots[0]!.model;
  }

  /** Of the endpoint that answered last. */
  get id(): string {
    return this.#last.id;
  }

  get location(): string {
    return this.#last.location;
  }

  get capabilities(): TextModelCapabilities {
    const all = this.slots.map(({ model }) => model.capabilities);
    const fewest = Math.min(
      ...this.slots.map(({ most }) => most),
      ...all.map((c) => c.concurrency ?? Infinity),
    );
    return {
      logprobs: all.every((c) => c.logprobs),
      sessions: false,
      rawCompletion: all.every((c) => c.rawCompletion),
      billed: all.some((c) => c.billed),
      ...(fewest === Infinity ? {} : { concurrency: fewest }),
    };
  }

  generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    return this.run((model, written, rest) => model.generate(prompt + written, rest), options);
  }

  /** Tries each endpoint, those that rest last. */
  async *run(
    start: (model: TextModel, written: string, options: GenerateOptions) => AsyncIterable<TextChunk>,
    options: GenerateOptions,
  ): AsyncGenerator<TextChunk> {
    const now = this.#clock();
    const rank = (slot: Slot): number => (slot.restsUntil > now ? slot.restsUntil : 0);
    const order = [...this.slots].sort((a, b) => rank(a) - rank(b));
    let written = '';
    let tokens = 0;
    let failure: unknown = null;
    for (const slot of order) {
      await this.#enter(slot, options.signal);
      try {
        const left =
          options.maxTokens === undefined ? {} : { maxTokens: Math.max(1, options.maxTokens - tokens) };
        for await (const chunk of start(slot.model, written, { ...options, ...left })) {
          this.#last = slot.model;
          written += chunk.text;
          tokens += tokensOf(chunk);
          const notes = this.#untold.splice(0);
          yield notes.length > 0 ? { ...chunk, notes: [...notes, ...(chunk.notes ?? [])] } : chunk;
        }
        slot.restsUntil = 0;
        return;
      } catch (error) {
        if (isAbort(error)) throw error;
        failure = error;
        const asked = error instanceof EndpointError ? (error.retryAfterMs ?? 0) : 0;
        slot.restsUntil = this.#clock() + Math.max(this.#restMs, asked);
        const note = `${messageOf(error)}; went on with the next endpoint`;
        if (slot !== order.at(-1) && !this.#untold.includes(note)) this.#untold.push(note);
      } finally {
        this.#leave(slot);
      }
    }
    throw failure;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.slots.map(({ model }) => model.close?.()));
  }

  async #enter(slot: Slot, signal: AbortSignal | undefined): Promise<void> {
    if (slot.free > 0) {
      slot.free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = (): void => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      const stop = (): void => {
        slot.waiting.splice(slot.waiting.indexOf(go), 1);
        reject(new DOMException('cancelled while waiting for the endpoint', 'AbortError'));
      };
      slot.waiting.push(go);
      signal?.addEventListener('abort', stop, { once: true });
      if (signal?.aborted) stop();
    });
  }

  #leave(slot: Slot): void {
    const next = slot.waiting.shift();
    if (next) next();
    else slot.free++;
  }
}

/** Where some endpoints take only chat turns, every request carries the turn, and raw ones get its text. */
class ContinuingPool extends Pool implements ContinuingModel {
  continueAssistant(turn: Continuation, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    return this.run((model, written, rest) => {
      const grown = { ...turn, partial: turn.partial + written };
      return isContinuing(model)
        ? model.continueAssistant(grown, rest)
        : model.generate(`${turn.prompt}${turn.answer}${written}`, rest);
    }, options);
  }
}
