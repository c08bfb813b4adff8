// One request whose prompt is sent while the small model still writes it: the body is the same JSON as ever, but its end comes
// only with the hand-off. A server that reads along (read-along.ts) then has nearly all of it in its cache, and the hand-off itself is
// the last few bytes on a connection that is open already.

import { turnOfEventLoop } from '@baton/runtime/event-loop';
import type { TextChunk } from '@baton/runtime/text-model';

import type { HttpOptions } from './event-stream.ts';
import { READ_AHEAD } from './reads-along-header.ts';
import { GrowingBody } from './growing-body.ts';
import { streamOnce } from './stream-chunks.ts';

/** A prompt that is under way before it is complete. */
export interface OpenPrompt {
  /** The prompt so far. */
  readonly text: string;
  /** False once the request has been ended or has failed, or is so old that the server will not wait for its end. */
  readonly usable: boolean;
  /** The prompt has grown to `text`, which begins with what there was. */
  extend(text: string): void;
  /** Nobody will ask for it: the connection is closed a turn of the event loop later. False where the request had ended already. */
  close(): boolean;
}

/** A model whose endpoint may read prompts along. */
export interface PromptStreaming {
  /**
   * Begins to send `prompt`, for a `generate` with it or with a text that goes on from it; null where the endpoint is not known to
   * read a prompt before it is whole.
   */
  openPrompt(prompt: string): OpenPrompt | null;
}

export function streamsPrompts<T extends object>(model: T): model is T & PromptStreaming {
  return 'openPrompt' in model;
}

export interface StreamedPromptOptions {
  url: string;
  model: string;
  http: HttpOptions;
  /** The server takes no request that is longer under way, in milliseconds. */
  withinMs: number;
}

/** Fewer characters wait for more, but no longer than LEAST_APART_MS: a piece costs both ends some 30 microseconds. */
const LEAST_CHARACTERS = 16;
const LEAST_APART_MS = 4;
/** A server that has read nothing of so many characters, under way for so long, did not get them before the prompt was whole. */
const ENOUGH_CHARACTERS = 48;
const LONG_UNDER_WAY_MS = 1000;
/** Of the time that a server allows, so much is used: the end must be there in time as well. */
const SHARE_OF_TIME = 0.7;

export class StreamedPrompt implements OpenPrompt {
  readonly #body = new GrowingBody();
  readonly #control = new AbortController();
  readonly #chunks: AsyncGenerator<TextChunk>;
  /** The request begins with it; it comes when the prompt has been ended. */
  readonly #first: Promise<IteratorResult<TextChunk>>;
  readonly #began: { atMs: number; characters: number };
  readonly #untilMs: number;
  #readAhead = 0;
  #longUnderWay = false;
  #text: string;
  #sent: number;
  #sentMs = performance.now();
  #over = false;

  constructor(prompt: string, { url, model, http, withinMs }: StreamedPromptOptions) {
    this.#text = prompt;
    this.#sent = prompt.length;
    this.#began = { atMs: performance.now(), characters: prompt.length };
    this.#untilMs = performance.now() + SHARE_OF_TIME * withinMs;
    this.#body.write(`{"model":${JSON.stringify(model)},"prompt":"${inString(prompt)}`);
    const onHeaders: HttpOptions['onHeaders'] = (headers) => {
      this.#readAhead = Number(headers.get(READ_AHEAD) ?? 0);
      http.onHeaders?.(headers);
    };
    this.#chunks = streamOnce(url, this.#body, { ...http, onHeaders, retries: 0 }, this.#control.signal);
    this.#first = this.#chunks.next();
    this.#first.catch(() => (this.#over = true));
  }

  get text(): string {
    return this.#text;
  }

  get usable(): boolean {
    return !this.#over && performance.now() < this.#untilMs;
  }

  /**
   * Known when the answer comes: something on the way (a proxy) has kept what was sent until there was all of it, and the server has
   * read none of it before.
   */
  get collected(): boolean {
    return this.#longUnderWay && this.#readAhead === 0;
  }

  extend(text: string): void {
    this.#text = text;
    const now = performance.now();
    if (text.length - this.#sent < LEAST_CHARACTERS && now - this.#sentMs < LEAST_APART_MS) return;
    this.#sentMs = now;
    this.#send();
  }

  /** Ends the prompt as `prompt`, which begins with the text so far, with the other fields of the request, and reads the answer. */
  async *finish(prompt: string, fields: object, signal?: AbortSignal): AsyncGenerator<TextChunk> {
    this.#over = true;
    const { atMs, characters } = this.#began;
    this.#longUnderWay = characters >= ENOUGH_CHARACTERS && performance.now() - atMs >= LONG_UNDER_WAY_MS;
    this.#text = prompt;
    const stop = (): void => this.#control.abort(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    this.#send();
    this.#body.end(`",${JSON.stringify(fields).slice(1)}`);
    try {
      for (let next = await this.#first; !next.done; next = await this.#chunks.next()) yield next.value;
    } finally {
      signal?.removeEventListener('abort', stop);
      await this.#chunks.return(undefined);
    }
  }

  close(): boolean {
    if (this.#over) return false;
    this.#over = true;
    void turnOfEventLoop().then(() => this.#control.abort());
    return true;
  }

  #send(): void {
    this.#body.write(inString(this.#text.slice(this.#sent)));
    this.#sent = this.#text.length;
  }
}

/** As it stands inside a JSON string. A character that is cut in two is written as two escapes, which make one again. */
function inString(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
