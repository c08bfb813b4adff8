// One generation of the large model, read into a buffer as fast as it arrives and independently of who looks at it:
// the overlap of writing and controlling comes from here. Counts tokens by place, takes tags out of the text, and
// holds the limits that an endpoint might not keep.

import { turnOfEventLoop } from '@baton/runtime/event-loop';
import type { TextChunk, Usage } from '@baton/runtime/text-model';

import { EndpointError, isAbort } from '../split-error.ts';
import { TagScanner, wholeCharacters } from '../text/tags.ts';
import type { Tags } from '../text/tags.ts';
import { timerMs } from '../timer.ts';
import type { TracePiece } from '../trace.ts';

/** Why no more text comes. 'tag': the large model wrote the close tag itself, where that ends the text. */
export type LargeEnd = 'end' | 'length' | 'tag' | 'aborted' | 'error';

export interface LargeStreamOptions {
  tags: Tags;
  maxTokens: number;
  /** The whole generation may take so long, in milliseconds. */
  deadlineMs: number;
  now: () => number;
  /** Called once, when the stream has ended for whatever reason. */
  onEnd?: () => void;
}

/** Begins a generation under the given signal. Where there are several endpoints, `asked` is told each one that is asked for it. */
export type StartStream = (
  signal: AbortSignal,
  asked: (endpoint: string) => void,
) => AsyncIterable<TextChunk>;

export class LargeStream {
  readonly sentMs: number;
  firstMs: number | null = null;
  ended: LargeEnd | null = null;
  error: unknown = null;
  usage: Usage | null = null;
  /** Address of the endpoint that wrote its newest text, where several were configured. */
  endpoint: string | null = null;
  readonly notes: string[] = [];
  /**
   * Its tokens are counted by pieces of text, because the endpoint names none: a lower bound where it sends several at once,
   * until its usage says more.
   */
  countsPieces = false;
  /** The close tag ends the text; where nobody is waiting to take over it is only taken out, as the open tag is. */
  endsAtTag = true;
  /** Resolves when the stream has ended and its connection is closed. */
  readonly finished: Promise<void>;
  readonly #control: AbortController;
  readonly #options: LargeStreamOptions;
  readonly #scanner: TagScanner;
  /** Text length and tokens received after each chunk. */
  readonly #marks: { length: number; tokens: number; atMs: number }[] = [];
  #raw = '';
  #tokens = 0;
  #logprobSum = 0;
  #logprobCount = 0;
  #wake: (() => void)[] = [];
  #waking = false;
  #askedAt: string | null = null;

  /** `start` begins the generation. */
  constructor(start: StartStream, options: LargeStreamOptions) {
    this.#options = options;
    this.#control = new AbortController();
    this.#scanner = new TagScanner([options.tags.open, options.tags.close]);
    this.sentMs = options.now();
    this.finished = this.#read(start);
  }

  /** Text received so far, tags taken out, ending at a whole character. */
  get text(): string {
    return this.#raw.slice(0, wholeCharacters(this.#raw));
  }

  /** Tokens received so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Mean log-probability of the received tokens; NaN where the endpoint gives none. */
  get meanLogprob(): number {
    return this.#logprobCount === 0 ? Number.NaN : this.#logprobSum / this.#logprobCount;
  }

  /** Tokens that the first `length` characters took; a token that the place cuts in two counts. */
  tokensUpTo(length: number): number {
    if (length <= 0) return 0;
    return this.#marks.find((mark) => mark.length >= length)?.tokens ?? this.#tokens;
  }

  /** Length of the text that the first `tokens` tokens made. */
  lengthAt(tokens: number): number {
    return this.#marks.find((mark) => mark.tokens >= tokens)?.length ?? this.#raw.length;
  }

  /** Where chunks ended, between `from` and `to` characters, inside characters left out. */
  ends(from: number, to: number): number[] {
    const inside = this.#marks.map((mark) => mark.length).filter((length) => length > from && length < to);
    return [...new Set(inside)].filter((length) => wholeCharacters(this.#raw.slice(0, length)) === length);
  }

  /** What arrived behind the first `length` characters and `tokens` tokens: times, tokens, characters. */
  piecesFrom(length: number, tokens: number): TracePiece[] {
    const pieces: TracePiece[] = [];
    const whole = this.text.length;
    let [seen, counted] = [length, tokens];
    for (const mark of this.#marks) {
      const end = Math.min(mark.length, whole);
      const [added, grown] = [Math.max(0, mark.tokens - counted), Math.max(0, end - seen)];
      if (added > 0 || grown > 0) pieces.push([mark.atMs, added, grown]);
      seen = Math.max(seen, end);
      counted = Math.max(counted, mark.tokens);
    }
    return pieces;
  }

  /** When the character at `length` arrived. */
  arrivedMs(length: number): number {
    return this.#marks.find((mark) => mark.length >= length)?.atMs ?? this.#options.now();
  }

  /** Resolves when there is more than `seen` characters of text, or the end. */
  async more(seen: number): Promise<void> {
    while (this.text.length <= seen && this.ended === null)
      await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  /**
   * Stops the generation and closes its connection; does nothing to one that has ended. No more text is taken from now on; the
   * connection itself is closed a turn of the event loop later, which takes half a millisecond that whoever goes on need not wait for.
   */
  abort(): void {
    // What was held back as the possible beginning of a tag arrived all the same.
    if (this.ended === null) this.#raw += this.#scanner.flush();
    this.#end('aborted');
    if (!this.#control.signal.aborted) void turnOfEventLoop().then(() => this.#control.abort());
  }

  async #read(start: StartStream): Promise<void> {
    const timer = setTimeout(() => {
      const late = new EndpointError('silence', `the span took longer than ${this.#options.deadlineMs} ms`);
      this.#fail(late);
    }, timerMs(this.#options.deadlineMs));
    try {
      for await (const chunk of start(this.#control.signal, (endpoint) => (this.#askedAt = endpoint))) {
        if (this.ended !== null) break;
        this.#take(chunk);
        if (this.ended !== null) break;
      }
      if (this.ended === null) this.#finish('end');
    } catch (error) {
      if (this.ended === null) {
        if (isAbort(error)) this.#finish('aborted');
        else this.#fail(error);
      }
    } finally {
      clearTimeout(timer);
      this.#control.abort();
      this.#options.onEnd?.();
    }
  }

  #take(chunk: TextChunk): void {
    if (chunk.usage) this.usage = chunk.usage;
    if (chunk.text !== '') this.endpoint = this.#askedAt;
    if (chunk.notes) this.notes.push(...chunk.notes);
    const count = tokensOf(chunk);
    if (count > 0 && chunk.tokenIds.length === 0 && !chunk.logprobs?.length) this.countsPieces = true;
    if (count > 0 || chunk.text !== '') this.firstMs ??= this.#options.now();
    this.#tokens += count;
    for (const { logprob } of chunk.logprobs ?? []) {
      if (!Number.isFinite(logprob)) continue;
      this.#logprobSum += logprob;
      this.#logprobCount++;
    }
    for (let rest: string | undefined = chunk.text; rest !== undefined;) {
      const found = this.#scanner.push(rest);
      this.#raw += found.text;
      // Text that was held back and became part of a tag is gone, and with it the places inside it.
      if (found.match !== undefined)
        for (const mark of this.#marks) mark.length = Math.min(mark.length, this.#raw.length);
      rest = found.match === undefined ? undefined : (found.rest ?? '');
      if (found.match === this.#options.tags.close && this.endsAtTag) {
        this.#mark();
        return this.#end('tag');
      }
    }
    this.#mark();
    if (chunk.finishReason !== undefined) {
      const { finishReason } = chunk;
      if (finishReason === 'error') return this.#fail(new EndpointError('server', 'the large model failed'));
      if (finishReason === 'aborted') return this.#finish('aborted');
      return this.#finish(finishReason === 'stop' ? 'end' : 'length');
    }
    if (this.#tokens >= this.#options.maxTokens) {
      // An endpoint that ends by itself does so now; one that never stops is stopped.
      if (this.#tokens > this.#options.maxTokens) this.#finish('length');
    }
    this.#signalSoon();
  }

  #mark(): void {
    const length = this.#raw.length + this.#scanner.held.length;
    this.#marks.push({ length, tokens: this.#tokens, atMs: this.#options.now() });
  }

  #finish(end: LargeEnd): void {
    const held = this.#scanner.flush();
    // A tag that the limit cut in two is not shown in part; a lone "<" or "</" may be anything.
    if (end !== 'length' || held.length <= 2) this.#raw += held;
    else for (const mark of this.#marks) mark.length = Math.min(mark.length, this.#raw.length);
    this.#mark();
    this.#end(end);
  }

  #fail(error: unknown): void {
    if (this.ended !== null) return;
    this.error = error;
    this.#finish('error');
    this.#control.abort();
  }

  #end(end: LargeEnd): void {
    this.ended ??= end;
    this.#signal();
  }

  /**
   * Behind the other chunks that came with this one: whoever reads along then reads all of them in one pass, and the last of them
   * does not wait for a pass over the first.
   */
  #signalSoon(): void {
    if (this.#waking || this.#wake.length === 0) return;
    this.#waking = true;
    void turnOfEventLoop().then(() => {
      this.#waking = false;
      this.#signal();
    });
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }
}

/** Tokens in a chunk: by ids, by log-probabilities, or one for a piece of text from a server that gives neither. */
export function tokensOf(chunk: TextChunk): number {
  const known = Math.max(chunk.tokenIds.length, chunk.logprobs?.length ?? 0);
  return known > 0 ? known : chunk.text === '' ? 0 : 1;
}
