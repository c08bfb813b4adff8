// Several endpoints as one: the first that works answers, one that fails is left alone for a while, and no more requests
// run at once than each endpoint takes. A stream that breaks off goes on at the next endpoint from where it was.

import type {
  GenerateOptions,
  TextChunk,
  TextModel,
  TextModelCapabilities,
  Usage,
} from '@baton/runtime/text-model';

import type { Continuation, ContinuingModel, Tell, TellingModel } from '../relay/large-side.ts';
import { continueTelling, isContinuing } from '../relay/large-side.ts';
import { canScore } from '../relay/prompt-scores.ts';
import { EndpointError, SplitError, isAbort, messageOf } from '../split-error.ts';
import { tokensOf } from '../relay/large-stream.ts';
import type { OpenAICompletionsModel } from './openai-completions.ts';

export interface PoolMember {
  model: TextModel;
  /** Requests at once. Default: no limit. */
  concurrency?: number;
}

export interface PoolOptions {
  /** How long a failed endpoint is left alone, in milliseconds; a Retry-After that is longer counts instead. Default 30 s. */
  restMs?: number;
  /** How long an endpoint may take to begin its answer while another could be asked. Default 30 s. */
  firstMs?: number;
  clock?: () => number;
}

type ScoreOptions = Parameters<OpenAICompletionsModel['score']>[1];
type Scores = Awaited<ReturnType<OpenAICompletionsModel['score']>>;
type Scorer = Pick<OpenAICompletionsModel, 'score'>;

/** A request that broke off behind its first text. */
interface Broken {
  usage: Usage | null;
  tokens: number;
}

/**
 * The usage of all requests that wrote a text. One that broke off before it told its own read the same prompt, less what it wrote
 * itself: none of it counts as cached.
 */
function withBroken(last: Usage, broken: readonly Broken[]): Usage {
  let { promptTokens, completionTokens, cachedTokens } = last;
  let prompt = last.promptTokens;
  for (const { usage, tokens } of broken.toReversed()) {
    prompt = usage?.promptTokens ?? Math.max(0, prompt - tokens);
    promptTokens += prompt;
    completionTokens += usage?.completionTokens ?? tokens;
    if (usage?.cachedTokens !== undefined) cachedTokens = (cachedTokens ?? 0) + usage.cachedTokens;
  }
  return { promptTokens, completionTokens, ...(cachedTokens === undefined ? {} : { cachedTokens }) };
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

class Pool implements TellingModel {
  readonly slots: readonly Slot[];
  readonly #restMs: number;
  readonly #firstMs: number;
  readonly #clock: () => number;
  /** Failures that nobody was told of yet: a request that was withdrawn may have met them. */
  readonly #untold: string[] = [];
  #last: TextModel;

  constructor(slots: readonly Slot[], options: PoolOptions) {
    this.slots = slots;
    this.#restMs = options.restMs ?? 30_000;
    this.#firstMs = options.firstMs ?? 30_000;
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

  /** Each endpoint gets the turn in the form that it takes. */
  continueTelling(turn: Continuation, options: GenerateOptions = {}, tell: Tell): AsyncGenerator<TextChunk> {
    return this.run((model, written, rest) => {
      const grown = { ...turn, partial: turn.partial + written, answer: turn.answer + written };
      return continueTelling(model, grown, rest, tell);
    }, options);
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
    const broken: Broken[] = [];
    for (const slot of order) {
      let usage: Usage | null = null;
      const before = tokens;
      await this.#enter(slot, options.signal);
      const late = new AbortController();
      const timer = slot === order.at(-1) ? undefined : setTimeout(() => late.abort(), this.#firstMs);
      const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal;
      try {
        const left =
          options.maxTokens === undefined ? {} : { maxTokens: Math.max(1, options.maxTokens - tokens) };
        for await (const chunk of start(slot.model, written, { ...options, ...left, signal })) {
          clearTimeout(timer);
          this.#last = slot.model;
          written += chunk.text;
          tokens += tokensOf(chunk);
          usage = chunk.usage ?? usage;
          const notes = this.#untold.splice(0);
          yield {
            ...chunk,
            ...(notes.length > 0 ? { notes: [...notes, ...(chunk.notes ?? [])] } : {}),
            ...(chunk.usage ? { usage: withBroken(chunk.usage, broken) } : {}),
          };
        }
        slot.restsUntil = 0;
        return;
      } catch (thrown) {
        const waited = late.signal.aborted && !options.signal?.aborted;
        if (isAbort(thrown) && !waited) throw thrown;
        const line = `${slot.model.location}: nothing arrived for ${this.#firstMs} ms`;
        const error = waited ? new EndpointError('silence', line) : thrown;
        failure = error;
        // What it wrote is kept, and what it read for that is paid for.
        if (usage || tokens > before) broken.push({ usage, tokens: tokens - before });
        const asked = error instanceof EndpointError ? (error.retryAfterMs ?? 0) : 0;
        slot.restsUntil = this.#clock() + Math.max(this.#restMs, asked);
        const note = `${messageOf(error)}; went on with the next endpoint`;
        if (slot !== order.at(-1) && !this.#untold.includes(note)) this.#untold.push(note);
      } finally {
        clearTimeout(timer);
        this.#leave(slot);
      }
    }
    throw failure;
  }

  /** Log-probabilities of a text, from the first endpoint that tells them and works. Throws as its members' `score` does. */
  score(text: string, options: ScoreOptions = {}): Promise<Scores> {
    return this.#score(async () => text, options);
  }

  /** As `score`, for `piece` behind the turn: the text is in the form of the endpoint that scores it. */
  scoreTelling(turn: Continuation, piece: string, options: ScoreOptions, tell: Tell): Promise<Scores> {
    return this.#score(async (model) => {
      const own = isContinuing(model) ? await model.promptOf?.(turn, options?.signal) : null;
      const text = (own ?? turn.prompt + turn.answer) + piece;
      tell(model.location, text);
      return text;
    }, options);
  }

  async #score(textFor: (model: TextModel) => Promise<string>, options: ScoreOptions): Promise<Scores> {
    const able = this.slots.filter(({ model }) => canScore(model) && !model.capabilities.sessions);
    let failure: unknown = new SplitError(
      'unsuitable-model',
      `${this.id} gives no log-probabilities of a prompt; this policy needs them`,
    );
    for (const slot of able) {
      await this.#enter(slot, options?.signal);
      try {
        const scores = await (slot.model as TextModel & Scorer).score(await textFor(slot.model), options);
        this.#last = slot.model;
        return scores;
      } catch (error) {
        if (isAbort(error)) throw error;
        failure = error;
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

/** Where some endpoints take chat turns, or have a template of their own. */
class ContinuingPool extends Pool implements ContinuingModel {
  continueAssistant(turn: Continuation, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    return this.continueTelling(turn, options, () => undefined);
  }
}
