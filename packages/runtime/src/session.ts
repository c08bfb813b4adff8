// A conversation over one cache, addressed by text: TextSession for a model that runs here. Turns text into tokens and
// back, keeps the cache on the common token prefix, and writes the decode loop's stops, samples and log-probabilities.
// What the numbers are computed on is the Decoder's business.

import type { Decoder } from './decoder.ts';
import { RuntimeError, isAbort, throwIfAborted } from './errors.ts';
import { Mutex } from './mutex.ts';
import { topLogprobs, watch } from './sampling/log-probs.ts';
import { Sampler } from './sampling/sampler.ts';
import type {
  FinishReason,
  GenerateOptions,
  SyncOptions,
  SyncResult,
  TextChunk,
  TextSession,
  WatchedPosition,
} from './text-model.ts';
import { GrowingText } from './text/growing-text.ts';
import { rawLengths } from './text/normalized-lengths.ts';
import { speculate, type Chosen } from './speculate.ts';
import { StopStrings } from './text/stop-strings.ts';
import type { TextStream } from './text/text-stream.ts';
import type { Tokenizer } from './text/tokenizer.ts';

export interface SessionOptions {
  /** Draft tokens per step from text that repeats (speculate.ts); exact. 0 = off. */
  lookup?: number;
}

export interface SessionParts extends SessionOptions {
  decoder: Decoder;
  tokenizer: Tokenizer;
  /** Tokens that end a generation. */
  stopIds: ReadonlySet<number>;
  onClose?: () => Promise<void>;
  /** Runs cache work; a model that can move to another target on a lost device does so here. */
  guard?: <T>(work: () => Promise<T>) => Promise<T>;
  /** Takes the notes (one line each) that arose since the last call, e.g. a lost device. */
  takeNotes?: () => readonly string[];
}

export type SessionChunk = TextChunk & { watched?: readonly WatchedPosition[] };

export class LocalSession implements TextSession {
  readonly #parts: SessionParts;
  readonly #turn = new Mutex();
  readonly #growing: GrowingText;
  /** For `encode`, whose texts are others than the session's. */
  readonly #asked: GrowingText;
  /** Text length after each token of the sequence (pending ones included), or -1 inside a character. */
  readonly #ends: number[] = [];
  /** Sampled, but not yet in the cache. */
  #pending: number[] = [];
  /** Tokens at the cache's end that are likely to follow and not part of the sequence. */
  #likely = 0;
  #text = '';
  #stream: TextStream | null = null;
  #closed = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#growing = new GrowingText(parts.tokenizer);
    this.#asked = new GrowingText(parts.tokenizer);
  }

  /** Tokens held, those still to be put in the cache included. */
  get tokens(): readonly number[] {
    return [...this.#parts.decoder.tokens.slice(0, this.#held), ...this.#pending];
  }

  async encode(text: string): Promise<readonly number[]> {
    return this.#asked.encode(text);
  }

  async beginnings(text: string): Promise<readonly { id: number; lead: string; covers: number }[]> {
    return this.#parts.tokenizer.beginnings(text);
  }

  async state(): Promise<{ tokens: number; capacity: number; text: string }> {
    const { decoder } = this.#parts;
    return { tokens: this.#held + this.#pending.length, capacity: decoder.capacity, text: this.#text };
  }

  /** Tokens of the sequence that are in the cache. */
  get #held(): number {
    return this.#parts.decoder.length - this.#likely;
  }

  /** The newest token of the sequence. */
  get #lastToken(): number | undefined {
    return this.#pending.at(-1) ?? this.#parts.decoder.tokens[this.#held - 1];
  }

  sync(text: string, options: SyncOptions = {}): Promise<SyncResult> {
    return this.#turn.run(() => this.#sync(text, options));
  }

  async #sync(text: string, options: SyncOptions): Promise<SyncResult> {
    this.#checkOpen();
    const { decoder, tokenizer } = this.#parts;
    throwIfAborted(options.signal);
    const ids = tokenizer.encodeSequence(text, this.#growing.encode(text));
    const kept = commonPrefix(ids, decoder.tokens);
    const fresh = ids.slice(kept);
    const likely = fresh.length > 0 ? this.#likelyBehind(ids.length, options.likely) : [];
    this.#stream = null;
    this.#likely = 0;
    this.#truncate(kept);
    this.#measure(text, ids, kept);
    this.#text = text;
    try {
      const wanted = options.watch ? { watch: options.watch } : 'last';
      const { watched } = await this.#guard(() => {
        // After a lost target this runs again, and chunks that were done before it must not be taken twice.
        decoder.rollback(kept);
        return decoder.ingest([...fresh, ...likely], { logits: wanted, signal: options.signal });
      });
      this.#likely = likely.length;
      return {
        kept,
        ingested: fresh.length,
        watched: watched
          .slice(0, fresh.length)
          .map((row, i) => ({ ...row, textLength: this.#ends[kept + i]! })),
        ...this.#notes(),
      };
    } catch (error) {
      this.#truncate(decoder.length);
      throw error;
    }
  }

  /** `text` as a token that is read behind `length` others, in the same pass as the last of them, where that takes hardly longer. */
  #likelyBehind(length: number, text: string | undefined): readonly number[] {
    const { decoder, tokenizer } = this.#parts;
    if (text === undefined || !decoder.backend.oneMoreIsCheap || decoder.whenFull !== 'stop') return [];
    const ids = tokenizer.encode(text);
    return ids.length === 1 && length < decoder.steadyTo(length) ? ids : [];
  }

  /** Forgets what was only likely to follow. */
  #dropLikely(): void {
    this.#parts.decoder.rollback(this.#held);
    this.#likely = 0;
  }

  /**
   * Makes the session hold exactly `ids`, also where the tokenizer would write their text otherwise (a sequence that was
   * cut, or encoded in pieces). Throws `bad-input` for an id that the vocabulary lacks.
   */
  syncTokens(
    ids: readonly number[],
    options: { signal?: AbortSignal } = {},
  ): Promise<Pick<SyncResult, 'kept' | 'ingested'>> {
    return this.#turn.run(async () => {
      this.#checkOpen();
      throwIfAborted(options.signal);
      const { decoder, tokenizer } = this.#parts;
      const bad = ids.findIndex((id) => tokenizer.bytes.at(id) === undefined);
      if (bad >= 0)
        throw new RuntimeError('bad-input', `token ${bad} has id ${ids[bad]}, which the vocabulary lacks`);
      const kept = commonPrefix(ids, decoder.tokens);
      this.#likely = 0;
      this.#truncate(kept);
      const { prefix } = tokenizer;
      const silent = prefix.every((id, i) => ids[i] === id) ? prefix.length : 0;
      const stream = tokenizer.stream(true);
      let text = '';
      this.#ends.length = 0;
      for (const [i, id] of ids.entries()) {
        if (i >= silent) text += stream.push(id);
        this.#ends.push(stream.midCharacter ? -1 : text.length);
      }
      try {
        const signal = options.signal;
        await this.#guard(() => {
          // After a lost target this runs again.
          decoder.rollback(kept);
          return decoder.ingest(ids.slice(kept), { logits: 'last', signal });
        });
      } catch (error) {
        this.#stream = null;
        this.#text = text;
        this.#truncate(decoder.length);
        throw error;
      }
      this.#text = text;
      // Kept: the last of `ids` may end inside a character, which the first generated token completes.
      this.#stream = stream;
      return { kept, ingested: ids.length - kept };
    });
  }

  /**
   * Generates from the current end. One chunk per token. `watched` of a chunk is the position the token was drawn
   * from: what the model predicted there for the watched ids, the drawn token's own text not included in `textLength`.
   * After a stop string the session keeps the tokens that lie wholly before it (or, with `includeStop`, up to its end).
   * An abort ends the stream with finishReason 'aborted' within one decode step. 'context' ends it where the cache is
   * full or, with a note, where no target has memory for a larger one. Throws `bad-input` on an empty session.
   */
  async *generate(
    options: GenerateOptions & { watch?: readonly number[] } = {},
  ): AsyncGenerator<SessionChunk> {
    const release = await this.#turn.acquire();
    try {
      yield* this.#generate(options);
    } finally {
      release();
    }
  }

  async *#generate(options: GenerateOptions & { watch?: readonly number[] }): AsyncGenerator<SessionChunk> {
    this.#checkOpen();
    const { decoder, tokenizer, stopIds } = this.#parts;
    const { signal, maxTokens = Infinity } = options;
    if (Number.isNaN(maxTokens)) throw new RuntimeError('bad-input', 'maxTokens is NaN; it must be a number');
    this.#dropLikely();
    const promptTokens = decoder.length + this.#pending.length;
    const sampler = new Sampler(options.sampling, this.tokens);
    const stops = new StopStrings(options.stop ?? []);
    const began = this.#text.length;
    const stream = (this.#stream ??= tokenizer.stream(began === 0, this.#lastToken));
    const ahead: Chosen[] = [];
    let produced = 0;
    let shown = began;
    const end = (finishReason: FinishReason, text = '', stopped?: string): SessionChunk => ({
      text,
      tokenIds: [],
      finishReason,
      ...(stopped === undefined ? {} : { stopped }),
      usage: { promptTokens, completionTokens: produced },
      ...this.#notes(),
    });
    try {
      if (maxTokens <= 0) return yield end('length');
      for (;;) {
        throwIfAborted(signal);
        const { id, logits, stored } = await this.#choose(sampler, ahead, signal);
        if (stopIds.has(id)) {
          this.#stream = null;
          return yield end('stop', stops.flush(), tokenizer.tokenText(id));
        }
        produced++;
        const piece = stream.push(id);
        const found = stops.push(piece);
        shown += found.text.length;
        const chunk = this.#describe(id, found.text, logits, options);
        if (!stored) this.#pending.push(id);
        this.#text += piece;
        this.#ends.push(stream.midCharacter ? -1 : this.#text.length);
        if (found.match !== undefined) {
          return yield* this.#stopAt(shown, found.match, chunk, options.includeStop ?? false, end);
        }
        const last = produced >= maxTokens ? 'length' : this.#isFull() ? 'context' : null;
        yield chunk;
        if (last) return yield end(last, stops.flush());
      }
    } catch (error) {
      if (isAbort(error)) yield end('aborted', stops.flush());
      else if (error instanceof RuntimeError && error.code === 'context-full') {
        // The next capacity cannot be had: the text ends here, and is whole.
        const last = end('context', stops.flush());
        yield { ...last, notes: [...(last.notes ?? []), error.message] };
      } else throw error;
    } finally {
      // What was looked ahead but not written is not part of the session.
      if (ahead.length > 0) this.#truncate(this.#ends.length);
    }
  }

  /** The next token and the logits it was chosen from; `stored`: it is in the cache already, from looking ahead. */
  async #choose(
    sampler: Sampler,
    ahead: Chosen[],
    signal: AbortSignal | undefined,
  ): Promise<Chosen & { stored: boolean }> {
    const { decoder, stopIds, lookup = 0 } = this.#parts;
    if (ahead.length === 0 && lookup > 0 && this.#pending.length > 0 && decoder.whenFull === 'stop') {
      const before = decoder.length;
      const pending = this.#pending;
      const guessed = await this.#guard(() => {
        // After a lost target this runs again: from the same place.
        decoder.rollback(before);
        return speculate(decoder, sampler, pending, lookup, stopIds, signal);
      });
      if (guessed) {
        this.#pending = [];
        ahead.push(...guessed);
      }
    }
    const next = ahead.shift();
    if (next) return { ...next, stored: ahead.length > 0 };
    const logits = await this.#logits(signal);
    return { id: sampler.next(logits), logits, stored: false };
  }

  /** Ends at a stop string at place `at` of the text; the session gives up what lies behind it. */
  *#stopAt(
    at: number,
    stop: string,
    chunk: SessionChunk,
    include: boolean,
    end: (reason: FinishReason, text?: string, stopped?: string) => SessionChunk,
  ): Generator<SessionChunk> {
    const cut = include ? at + stop.length : at;
    this.#stream = null;
    this.#truncate(this.#ends.findLastIndex((e) => e >= 0 && e <= cut) + 1);
    yield include ? { ...chunk, text: chunk.text + stop } : chunk;
    yield end('stop', '', stop);
  }

  #describe(
    id: number,
    text: string,
    logits: Float32Array,
    options: GenerateOptions & { watch?: readonly number[] },
  ): SessionChunk {
    const { tokenizer } = this.#parts;
    const named = (t: { id: number; logprob: number }): { id: number; text: string; logprob: number } => ({
      ...t,
      text: tokenizer.tokenText(t.id),
    });
    const chunk: SessionChunk = { text, tokenIds: [id] };
    if (options.topLogprobs === undefined && !options.watch) return chunk;
    // Both at once: the sum over a vocabulary of 150,000 takes a millisecond.
    const { logprobs, ...best } = watch(logits, [id, ...(options.watch ?? [])]);
    if (options.topLogprobs !== undefined) {
      const own = named({ id, logprob: logprobs[0]! });
      const top = topLogprobs(logits, options.topLogprobs).map(named);
      chunk.logprobs = [top.length > 0 ? { ...own, top } : own];
    }
    if (options.watch)
      chunk.watched = [{ ...best, logprobs: logprobs.slice(1), textLength: this.#ends.at(-1) ?? 0 }];
    return chunk;
  }

  /** Next-token logits at the end of the session, running whatever is not in the cache yet. */
  async #logits(signal: AbortSignal | undefined): Promise<Float32Array> {
    const { decoder } = this.#parts;
    if (this.#pending.length === 0) {
      if (decoder.lastLogits) return decoder.lastLogits;
      const last = decoder.tokens.at(-1);
      if (last === undefined)
        throw new RuntimeError('bad-input', 'the session is empty: sync a prompt before generating');
      decoder.rollback(decoder.length - 1);
      this.#pending = [last];
    }
    const todo = this.#pending;
    const before = decoder.length;
    const run = (): Promise<unknown> =>
      decoder.ingest(todo.slice(decoder.length - before), { logits: 'last', signal });
    try {
      await this.#guard(run);
    } finally {
      this.#pending = todo.slice(decoder.length - before);
    }
    return decoder.lastLogits!;
  }

  #isFull(): boolean {
    const { decoder } = this.#parts;
    return decoder.whenFull === 'stop' && decoder.length + this.#pending.length > decoder.capacity;
  }

  /** Keeps the first `count` tokens. */
  #truncate(count: number): void {
    const { decoder } = this.#parts;
    this.#pending = this.#pending.slice(0, Math.max(0, count - decoder.length));
    decoder.rollback(Math.min(count, decoder.length));
    if (count >= this.#ends.length) return;
    this.#ends.length = count;
    this.#text = this.#text.slice(0, this.#ends.findLast((e) => e >= 0) ?? 0);
  }

  /** Extends the text lengths from `kept` tokens to all of `ids`. */
  #measure(text: string, ids: readonly number[], kept: number): void {
    const { tokenizer } = this.#parts;
    const silent = tokenizer.silentPrefix(text);
    // Decoding can only resume where a character ends.
    let from = Math.min(kept, this.#ends.length);
    while (from > 0 && this.#ends[from - 1] === -1) from--;
    const base = from > 0 ? this.#ends[from - 1]! : 0;
    this.#ends.length = from;
    const stream = tokenizer.stream(base === 0, ids[from - 1]);
    let spelled = '';
    for (let i = from; i < ids.length; i++) {
      if (i >= silent) spelled += stream.push(ids[i]!);
      this.#ends.push(stream.midCharacter ? -1 : spelled.length);
    }
    const raw = rawLengths(text.slice(base), spelled, (t) => tokenizer.normalize(t));
    for (let i = from; i < ids.length; i++)
      if (this.#ends[i]! >= 0) this.#ends[i] = base + raw(this.#ends[i]!);
  }

  #notes(): { notes?: readonly string[] } {
    const notes = this.#parts.takeNotes?.() ?? [];
    return notes.length > 0 ? { notes } : {};
  }

  #guard<T>(work: () => Promise<T>): Promise<T> {
    return this.#parts.guard ? this.#parts.guard(work) : work();
  }

  #checkOpen(): void {
    if (this.#closed) throw new RuntimeError('closed', 'this session is closed; open another one');
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const release = await this.#turn.acquire();
    release();
    await (this.#parts.onClose ? this.#parts.onClose() : this.#parts.decoder.close());
  }
}

/** How many of their first tokens two sequences share. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
