// The large model as the relay uses it: "go on from this answer text". Holds its prompt (the large model's own template
// or the small one's), a cache session where the model has one, and the price of every request.

import type {
  ChatMessage,
  Sampling,
  TextChunk,
  TextModel,
  TextSession,
  Usage,
} from '@baton/runtime/text-model';

import { streamsPrompts } from '../endpoint/streamed-prompt.ts';
import type { OpenPrompt } from '../endpoint/streamed-prompt.ts';
import type { Emit } from '../events.ts';
import type { WarmUpTotals } from '../trace.ts';
import type { Tags } from '../text/tags.ts';
import { EndpointError } from '../split-error.ts';
import { timerMs } from '../timer.ts';
import { LargeStream, tokensOf } from './large-stream.ts';
import type { StartStream } from './large-stream.ts';
import { priceOf } from './prices.ts';
import type { Prices } from './prices.ts';

/** What is being continued, for endpoints that take messages rather than raw text. */
export interface Continuation {
  /** The conversation before the question. */
  history?: readonly ChatMessage[];
  question: string;
  /** The partial assistant turn, thinking marker included where the prompt opens one. */
  partial: string;
  /** The same as raw text: what stands before the answer, and the answer so far. */
  prompt: string;
  answer: string;
  /** The question is complete as it stands: nothing is asked in addition. */
  bare?: boolean;
  /** `prompt` is what a person gave: no template stands around it. */
  raw?: boolean;
}

/** A TextModel that cannot take raw text continues an assistant turn instead. */
export interface ContinuingModel extends TextModel {
  continueAssistant(
    turn: Continuation,
    options?: Parameters<TextModel['generate']>[1],
  ): AsyncIterable<TextChunk>;
  /** The turn as the raw text that `generate` goes on with, in the model's own template; null where it takes messages only. */
  promptOf?(turn: Continuation, signal?: AbortSignal): Promise<string | null>;
}

/** Told before each request: the endpoint, and the text that it is to go on with. */
export type Tell = (to: string, prompt: string) => void;

/** A model of several endpoints: which one a request goes to, and in what form, is known only when it goes out. */
export interface TellingModel extends TextModel {
  continueTelling(
    turn: Continuation,
    options: Parameters<TextModel['generate']>[1],
    tell: Tell,
  ): AsyncIterable<TextChunk>;
}

export interface WarmUpAnswer {
  /** What a person should know of it, one line each. */
  notes: readonly string[];
  /** What the endpoint says of the request; null where it says nothing. */
  usage: Usage | null;
}

export interface LargeSideParts {
  model: TextModel;
  history: readonly ChatMessage[];
  question: string;
  /** Text before what is written, `begun` at its end. */
  prompt: string;
  /** The beginning of the answer that was given with the question; '' where none was. */
  begun: string;
  raw: boolean;
  tags: Tags;
  sampling: Sampling;
  prices: Prices | null;
  spanMs: number;
  /** Prompts may be sent while they grow. */
  streamPrompts: boolean;
  now: () => number;
  emit: Emit;
}

type Options = NonNullable<Parameters<TextModel['generate']>[1]>;
type RequestKind = 'hand-off' | 'early' | 'warm-up' | 'score';

export class LargeSide {
  readonly model: TextModel;
  readonly prompt: string;
  readonly warmUp: WarmUpTotals = { requests: 0, promptTokens: 0, cachedTokens: 0, tokens: 0 };
  /** Money spent on requests that belong to no segment. */
  otherCost = 0;
  /** Something of it is an estimate: a request ended before its usage came. */
  estimated = false;
  readonly #parts: LargeSideParts;
  #session: Promise<TextSession> | null = null;
  #requests = 0;
  /** Tokens per character of the prompts whose usage is known, for those cut short before it came. */
  #density = 0.3;
  readonly #running = new Set<LargeStream>();
  /** Prompts of the warm-ups under way. */
  readonly #unanswered = new Set<{ prompt: string }>();
  /** What the model reads in front of the answer; null where that is not known (yet), or is no text. */
  #before: string | null;
  /** Settles when that is known; null where it is. */
  readonly beforeKnown: Promise<void> | null;
  /** The request that is to be the next hand-off, its prompt growing. */
  #growing: OpenPrompt | null = null;

  constructor(parts: LargeSideParts) {
    this.#parts = parts;
    this.model = parts.model;
    this.prompt = parts.prompt;
    // Its template is found before anybody waits for it; nothing of the question is sent.
    const own = this.#ownPrompt('');
    this.#before = own === null ? this.prompt : null;
    this.beforeKnown = own && own.then((text) => void (this.#before = text)).catch(() => undefined);
  }

  /** The text that the model would go on with behind `answer`, as far as it reads raw text. */
  async textOf(answer: string, signal: AbortSignal): Promise<string> {
    return (await this.#ownPrompt(answer, signal)) ?? this.prompt + answer;
  }

  get location(): string {
    return this.model.location;
  }

  /** What the warm-ups under way cost, by estimate: they are read, and billed, whether anybody waits for them or not. */
  get pendingCost(): number {
    return [...this.#unanswered].reduce((sum, { prompt }) => sum + this.#estimate(prompt, 0), 0);
  }

  /** Starts writing on from `answer`. */
  stream(answer: string, maxTokens: number, kind: 'hand-off' | 'early'): LargeStream {
    const seed = this.#nextSeed();
    const options = {
      maxTokens,
      sampling: { ...this.#parts.sampling, ...seed },
      topLogprobs: 0,
    };
    const start: StartStream = (signal, asked) => this.#request(kind, answer, { ...options, signal }, asked);
    const stream: LargeStream = new LargeStream(start, {
      tags: this.#parts.tags,
      maxTokens,
      deadlineMs: this.#parts.spanMs,
      now: this.#parts.now,
      onEnd: () => this.#running.delete(stream),
    });
    this.#running.add(stream);
    return stream;
  }

  /** Puts `answer` into the large side's prefix cache. */
  async warm(answer: string, signal: AbortSignal): Promise<WarmUpAnswer> {
    this.warmUp.requests++;
    if (this.model.capabilities.sessions && this.model.openSession) {
      this.#tell('warm-up', this.prompt + answer);
      const session = await this.#open();
      const { ingested, kept, notes = [] } = await session.sync(this.prompt + answer, { signal });
      this.warmUp.promptTokens += ingested + kept;
      this.warmUp.cachedTokens += kept;
      return { notes, usage: null };
    }
    const notes: string[] = [];
    let tokens = 0;
    let usage: Usage | null = null;
    let refused = false;
    const asked = { prompt: this.prompt + answer };
    this.#unanswered.add(asked);
    try {
      const options = { maxTokens: 1, sampling: { temperature: 0 }, signal };
      for await (const chunk of this.#request('warm-up', answer, options)) {
        tokens += tokensOf(chunk);
        if (chunk.notes) notes.push(...chunk.notes);
        usage = chunk.usage ?? usage;
      }
    } catch (error) {
      refused = error instanceof EndpointError && tokens === 0;
      throw error;
    } finally {
      this.#unanswered.delete(asked);
      this.warmUp.tokens += tokens;
      this.warmUp.promptTokens += usage?.promptTokens ?? 0;
      this.warmUp.cachedTokens += usage?.cachedTokens ?? 0;
      // Also where it was withdrawn: the endpoint reads the text all the same, and bills it.
      if (!refused) this.spend(usage, asked.prompt, tokens);
    }
    return { notes, usage };
  }

  /**
   * Sends on what `answer` has grown by, as the prompt of a request that a later `stream` will complete. False where the endpoint does
   * not read a prompt before it is whole, or is not known to yet.
   */
  extendPrompt(answer: string): boolean {
    const { model } = this;
    if (!this.#parts.streamPrompts || this.#before === null || !streamsPrompts(model)) return false;
    const text = this.#before + answer;
    if (this.#growing?.usable && text.startsWith(this.#growing.text)) {
      this.#growing.extend(text);
      return true;
    }
    this.closePrompt();
    this.#growing = model.openPrompt(text);
    if (!this.#growing) return false;
    this.warmUp.requests++;
    this.#tell('warm-up', text);
    return true;
  }

  /** Withdraws it, tells what was sent, and pays for it where reading has a price. */
  closePrompt(): void {
    const growing = this.#growing;
    this.#growing = null;
    if (!growing?.close()) return;
    this.#tell('warm-up', growing.text);
    if (this.#parts.prices) this.spend(null, growing.text, 0);
  }

  /** Tokens that an answer to `ask` may have: a chat model's may begin with a space or a mark. */
  get askTokens(): number {
    return isContinuing(this.model) ? 4 : 1;
  }

  /**
   * Asks about the answer so far instead of going on with it, and tells what was sent: a few tokens, greedily. Paid for when
   * it ends. Throws EndpointError `silence` where it takes longer than a span may.
   */
  async *ask(answer: string, instruction: string, signal: AbortSignal): AsyncGenerator<TextChunk> {
    const prompt = `${this.prompt}${answer}\n\n${instruction}`;
    const late = AbortSignal.timeout(timerMs(this.#parts.spanMs));
    let tokens = 0;
    let usage: Usage | null = null;
    let refused = false;
    try {
      for await (const chunk of this.#asked(answer, instruction, prompt, AbortSignal.any([signal, late]))) {
        tokens += tokensOf(chunk);
        usage = chunk.usage ?? usage;
        if (late.aborted) break;
        yield chunk;
        if (tokens > this.askTokens) break;
      }
    } catch (error) {
      refused = error instanceof EndpointError && tokens === 0;
      if (!late.aborted || signal.aborted) throw error;
    } finally {
      if (!refused) this.spend(usage, prompt, tokens);
    }
    if (late.aborted && !signal.aborted)
      throw new EndpointError('silence', `the answer took longer than ${this.#parts.spanMs} ms`);
  }

  /** Pays for a request that belongs to no segment; by an estimate where its usage is not known. */
  spend(usage: Usage | null, prompt: string, tokens: number): void {
    if (usage) this.#learn(prompt, usage);
    this.otherCost += usage ? (this.costOf(usage) ?? 0) : this.#estimate(prompt, tokens);
    if (!usage) this.estimated = true;
  }

  #estimate(prompt: string, completionTokens: number): number {
    return this.costOf({ promptTokens: Math.round(prompt.length * this.#density), completionTokens }) ?? 0;
  }

  #asked(answer: string, instruction: string, prompt: string, signal: AbortSignal): AsyncIterable<TextChunk> {
    const { history, question } = this.#parts;
    const options = { topLogprobs: 10, sampling: { temperature: 0 }, signal, maxTokens: this.askTokens };
    const { model } = this;
    const asked = `${question}\n\nA solution so far:\n---\n${answer}\n---\n\n${instruction}`;
    const turn = { history, question: asked, partial: '', prompt, answer: '', bare: true };
    const tell = (to: string, prompt: string): void => this.#tell('score', prompt, to);
    return isTelling(model)
      ? model.continueTelling(turn, options, tell)
      : continueTelling(model, turn, options, tell);
  }

  /** Usage of a stream: the server's, or, where it was cut short before saying, an estimate from earlier requests. */
  usageOf(stream: LargeStream, answer: string): { usage: Usage; exact: boolean } {
    if (stream.usage) {
      this.#learn(this.prompt + answer, stream.usage);
      return {
        usage: { ...stream.usage, completionTokens: Math.max(stream.tokens, stream.usage.completionTokens) },
        exact: true,
      };
    }
    // Where nothing came but a failure, nobody is billed.
    const refused = stream.ended === 'error' && stream.tokens === 0;
    const promptTokens = refused ? 0 : Math.round((this.prompt.length + answer.length) * this.#density);
    return { usage: { promptTokens, completionTokens: stream.tokens }, exact: false };
  }

  /** Pays for a stream that went on from `answer` and became no segment. */
  payFor(stream: LargeStream, answer: string): void {
    const { usage, exact } = this.usageOf(stream, answer);
    const cost = this.costOf(usage) ?? 0;
    this.otherCost += cost;
    this.estimated ||= !exact && cost > 0;
  }

  costOf(usage: Usage): number | undefined {
    return this.#parts.prices ? priceOf(usage, this.#parts.prices) : undefined;
  }

  /** What a request that goes on from `answer` would cost, its prompt taken as uncached; zeros where nothing has a price. */
  nextCost(answer: string): { input: number; perToken: number } {
    const { prices } = this.#parts;
    if (!prices) return { input: 0, perToken: 0 };
    const promptTokens = Math.round((this.prompt.length + answer.length) * this.#density);
    return {
      input: priceOf({ promptTokens, completionTokens: 0 }, prices),
      perToken: priceOf({ promptTokens: 0, completionTokens: 1 }, prices),
    };
  }

  get session(): Promise<TextSession> | null {
    return this.model.capabilities.sessions && this.model.openSession ? this.#open() : null;
  }

  async close(): Promise<void> {
    this.closePrompt();
    for (const stream of this.#running) stream.abort();
    const session = this.#session;
    this.#session = null;
    await session?.then((s) => s.close()).catch(() => undefined);
  }

  /** Goes on from `answer`, and tells what is sent. */
  #request(
    kind: RequestKind,
    answer: string,
    options: Options,
    asked: (endpoint: string) => void = () => undefined,
  ): AsyncIterable<TextChunk> {
    const { model } = this;
    if (isTelling(model))
      return model.continueTelling(this.turnOf(answer), options, (to, prompt) => {
        asked(to);
        this.#tell(kind, prompt, to);
      });
    if (isContinuing(model) && model.promptOf) return this.#asText(kind, answer, options);
    this.#tell(kind, this.prompt + answer);
    return this.#generate(answer, options);
  }

  async *#asText(kind: RequestKind, answer: string, options: Options): AsyncGenerator<TextChunk> {
    const prompt = await this.#ownPrompt(answer, options.signal);
    this.#tell(kind, prompt ?? this.prompt + answer);
    yield* prompt === null ? this.#generate(answer, options) : this.model.generate(prompt, options);
  }

  #ownPrompt(answer: string, signal?: AbortSignal): Promise<string | null> | null {
    const { model } = this;
    return isContinuing(model) && model.promptOf ? model.promptOf(this.turnOf(answer), signal) : null;
  }

  /** The answer so far as the turn that is to be continued. */
  turnOf(answer: string): Continuation {
    const { history, question, begun, raw } = this.#parts;
    const prompt = this.prompt.slice(0, this.prompt.length - begun.length);
    const thinking = /<think>\s*$/.exec(prompt)?.[0] ?? '';
    const whole = begun + answer;
    return { history, question, partial: thinking + whole, prompt, answer: whole, raw };
  }

  #generate(answer: string, options: Options): AsyncIterable<TextChunk> {
    const { model } = this;
    if (isContinuing(model)) return model.continueAssistant(this.turnOf(answer), options);
    if (model.capabilities.sessions && model.openSession) return this.#throughSession(answer, options);
    return model.generate(this.prompt + answer, options);
  }

  async *#throughSession(answer: string, options: Options): AsyncGenerator<TextChunk> {
    const session = await this.#open();
    const { signal } = options;
    const { kept, ingested } = await session.sync(this.prompt + answer, signal ? { signal } : {});
    const usage = { promptTokens: kept + ingested, cachedTokens: kept, completionTokens: 0 };
    // The usage of a span that is cut short is known all the same: this process did the work.
    yield { text: '', tokenIds: [], usage };
    for await (const chunk of session.generate(options)) {
      const { usage: own, ...rest } = chunk;
      yield own ? { ...rest, usage: { ...usage, completionTokens: own.completionTokens } } : rest;
    }
  }

  #open(): Promise<TextSession> {
    this.#session ??= this.model.openSession!();
    return this.#session;
  }

  #tell(kind: RequestKind, prompt: string, to: string = this.model.location): void {
    const { emit, now } = this.#parts;
    emit({ type: 'request', kind, to, prompt, atMs: now() });
  }

  #learn(prompt: string, usage: Usage): void {
    if (usage.promptTokens > 0 && prompt.length > 0) this.#density = usage.promptTokens / prompt.length;
  }

  /** Each request draws with its own seed; one seed for all would repeat the same choices. */
  #nextSeed(): { seed?: number } {
    const { seed } = this.#parts.sampling;
    return seed === undefined ? {} : { seed: (seed + 7919 * ++this.#requests) >>> 0 };
  }
}

export function isContinuing(model: TextModel): model is ContinuingModel {
  return 'continueAssistant' in model;
}

function isTelling(model: TextModel): model is TellingModel {
  return 'continueTelling' in model;
}

/** Continues the turn at `model`, in the form that it takes, and tells what is sent. */
export async function* continueTelling(
  model: TextModel,
  turn: Continuation,
  options: Options,
  tell: Tell,
): AsyncGenerator<TextChunk> {
  const plain = turn.prompt + turn.answer;
  if (!isContinuing(model)) {
    tell(model.location, plain);
    yield* model.generate(plain, options);
    return;
  }
  const own = (await model.promptOf?.(turn, options.signal)) ?? null;
  tell(model.location, own ?? plain);
  yield* own === null ? model.continueAssistant(turn, options) : model.generate(own, options);
}
