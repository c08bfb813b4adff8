// A TextSession over an endpoint that keeps no session for us: the text is here, its cache is the server's prefix cache, and what
// the model would have written at each place of a text comes from `echo`. Ids are this session's own numbers for token texts, because
// that is how such endpoints name tokens.

import type {
  GenerateOptions,
  SyncResult,
  TextChunk,
  TextSession,
  WatchedPosition,
} from '@baton/runtime/text-model';

import { EndpointError, SplitError } from '../split-error.ts';
import { LEADS } from '../relay/tag-ids.ts';
import { apiUrl } from './address.ts';
import { placesOf } from './echo.ts';
import type { PromptPlace } from './echo.ts';
import { requestJson } from './event-stream.ts';
import { httpOf } from './openai-completions.ts';
import type { EndpointOptions, OpenAICompletionsModel } from './openai-completions.ts';
import type { EndpointInsight } from './small-endpoint.ts';
import { parseEvent } from './wire.ts';

type Token = NonNullable<TextChunk['logprobs']>[number];
type Chunk = TextChunk & { watched?: readonly WatchedPosition[] };

/** Numbers for token texts begin here, beyond any vocabulary, so that they are told from a caller's own ids. */
const FIRST_ID = 2 ** 30;
/** Alternatives read at each place of a given text: more make long answers longer. */
const READ_TOP = 5;
/** Without echo: tokens written to see whether a tag comes. */
const MOST_PROBED = 12;

/** The text no longer fits; the relay knows it by its code. */
class ContextFull extends Error {
  override readonly name = 'ContextFull';
  readonly code = 'context-full';
}

export class EndpointSession implements TextSession {
  readonly #model: OpenAICompletionsModel;
  readonly #options: EndpointOptions;
  readonly #insight: EndpointInsight;
  readonly #texts: string[] = [];
  readonly #ids = new Map<string, number>();
  /** The server's own ids of token texts, as far as it told them. */
  readonly #serverIds = new Map<string, number>();
  readonly #notes: string[];
  #text = '';
  #probed = 0;
  /** The last text that was read, as tokens. */
  #read: { text: string; places: readonly PromptPlace[] } | null = null;
  /** Tokens per character, from what was counted last. */
  #density = 0.5;

  constructor(
    model: OpenAICompletionsModel,
    options: EndpointOptions,
    insight: EndpointInsight,
    notes: readonly string[],
  ) {
    this.#model = model;
    this.#options = options;
    this.#insight = insight;
    const { echo, top } = insight;
    const here = `${model.id} at ${model.location}`;
    this.#notes = [
      ...notes,
      echo
        ? `${here} tells the ${Math.min(top, READ_TOP)} likeliest tokens of a place: a tag that is not among them counts as impossible, though it may be as probable as the last of them`
        : `${here} gives no log-probabilities of a prompt (echo): whether a span ends is asked only where its pieces end, by writing up to ${MOST_PROBED} tokens`,
    ];
  }

  async encode(text: string): Promise<readonly number[]> {
    if (text === '') return [];
    // Without echo nobody knows the tokens; a tag then counts as one, and is found by writing.
    if (!this.#insight.echo) return [this.#idOf(text)];
    const places = await this.#places(text, undefined);
    const silent = places.findIndex((place) => place.textLength !== 0);
    return places.slice(Math.max(0, silent)).map((place) => this.#idOf(place.text));
  }

  /** Every text that can hold the beginning of `text`, whether or not it is one of the model's tokens: one that is none never comes. */
  async beginnings(text: string): Promise<readonly { id: number; lead: string; covers: number }[]> {
    return LEADS.flatMap((lead) =>
      Array.from({ length: text.length }, (_, i) => ({
        id: this.#idOf(lead + text.slice(0, i + 1)),
        lead,
        covers: i + 1,
      })),
    );
  }

  async sync(
    text: string,
    options: { watch?: readonly number[]; signal?: AbortSignal } = {},
  ): Promise<SyncResult> {
    const { watch, signal } = options;
    signal?.throwIfAborted();
    const shared = commonLength(this.#text, text);
    const tokens = (length: number): number => Math.round(length * this.#density);
    // Only what is watched is asked for: the server reads the rest with the next request.
    this.#probed = 0;
    const watched = watch ? await this.#watch(text, shared, watch, signal) : [];
    this.#text = text;
    return {
      kept: tokens(shared),
      ingested: tokens(text.length) - tokens(shared),
      watched,
      ...(this.#probed > 0 ? { probed: this.#probed } : {}),
      ...this.#takeNotes(),
    };
  }

  async *generate(options: GenerateOptions & { watch?: readonly number[] } = {}): AsyncGenerator<Chunk> {
    const { watch, signal, maxTokens = Infinity } = options;
    const { sampling, banned } = this.#samplingOf(options.sampling ?? {});
    const room = this.#room();
    const most = Math.min(maxTokens, room);
    const top = Math.min(this.#insight.top, Math.max(READ_TOP, options.topLogprobs ?? 0));
    let produced = 0;
    for (;;) {
      const stream = this.#named(
        this.#model.generate(this.#text, {
          ...(Number.isFinite(most) ? { maxTokens: most - produced } : {}),
          ...(options.stop ? { stop: options.stop } : {}),
          sampling,
          topLogprobs: top,
          ...(signal ? { signal } : {}),
        }),
      );
      let instead: Token | null = null;
      for await (const chunk of stream) {
        for (const [text, token] of tokensOf(chunk)) {
          instead = token && banned.has(token.text) ? likeliest(token, banned, this.#model.id) : null;
          const from = { ...this.#next(token, watch ?? []), textLength: this.#text.length };
          const own = instead ?? token;
          const added = instead?.text ?? text;
          this.#text += added;
          produced++;
          const id = this.#idOf(own?.text ?? added);
          yield {
            text: added,
            tokenIds: [id],
            ...(own && options.topLogprobs !== undefined
              ? { logprobs: [{ ...own, id, ...(token?.top ? { top: token.top } : {}) }] }
              : {}),
            ...(watch ? { watched: [from] } : {}),
            ...this.#takeNotes(),
          };
          if (instead) break;
        }
        if (instead) break;
        if (chunk.finishReason === undefined) continue;
        if (chunk.usage) this.#count(chunk.usage.promptTokens + chunk.usage.completionTokens);
        const full = chunk.finishReason === 'length' && most === room;
        yield {
          text: '',
          tokenIds: [],
          finishReason: full ? 'context' : chunk.finishReason,
          ...(chunk.stopped === undefined ? {} : { stopped: chunk.stopped }),
          ...(chunk.usage ? { usage: chunk.usage } : {}),
          ...(chunk.notes ? { notes: chunk.notes } : {}),
        };
        return;
      }
      if (!instead) return;
      if (produced >= most)
        return yield { text: '', tokenIds: [], finishReason: most === room ? 'context' : 'length' };
    }
  }

  async state(): Promise<{ tokens: number; capacity: number; text: string }> {
    const tokens = Math.round(this.#text.length * this.#density);
    return { tokens, capacity: this.#insight.capacity ?? Number.MAX_SAFE_INTEGER, text: this.#text };
  }

  async close(): Promise<void> {}

  async #watch(
    text: string,
    shared: number,
    watch: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<WatchedPosition[]> {
    if (!this.#insight.echo) return [await this.#probe(text, watch, signal)];
    const places = await this.#places(text, signal);
    const first = places.findIndex((place) => place.textLength > shared);
    if (first < 0) return [];
    return places.slice(first).map(({ textLength, next }) => ({ ...this.#rows(next, watch), textLength }));
  }

  /** The text's tokens, with what would have been written at each. */
  async #places(text: string, signal: AbortSignal | undefined): Promise<readonly PromptPlace[]> {
    if (this.#read?.text === text) return this.#read.places;
    const url = apiUrl(this.#options.url, 'completions');
    const { stream_options: _, ...extra } = { ...this.#options.extraBody } as Record<string, unknown>;
    // One token is written, for some servers refuse to write none: it is the prediction of the last place.
    const asked = { prompt: text, echo: true, max_tokens: 1, temperature: 0 };
    const logprobs = Math.min(READ_TOP, this.#insight.top);
    const body = { ...extra, ...asked, logprobs, model: this.#model.id };
    const http = httpOf(this.#options);
    const json = await this.#fits(() => requestJson(url, 'POST', body, http, signal));
    const event = parseEvent(JSON.stringify(json), url);
    const entries = event.logprobs ?? [];
    if (event.tokenIds.length === entries.length)
      for (const [i, { text: name }] of entries.entries()) this.#serverIds.set(name, event.tokenIds[i]!);
    const places = placesOf(text, entries);
    if (places.at(-1)?.textLength !== text.length)
      throw new EndpointError('malformed', `${url}: the tokens of the echo are not those of the text`);
    this.#read = { text, places };
    if (text.length > 0) this.#density = places.length / text.length;
    return places;
  }

  /** Without echo: what the model writes behind `text`, no longer than one of the watched texts can still come of it. */
  async #probe(
    text: string,
    watch: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<WatchedPosition> {
    const wanted = watch.map((id) => this.#textOf(id));
    let written = '';
    let logprob = 0;
    const options = { maxTokens: MOST_PROBED, topLogprobs: 1, sampling: { temperature: 0 } };
    const stream = this.#model.generate(text, { ...options, ...(signal ? { signal } : {}) });
    for await (const chunk of this.#named(stream)) {
      written += chunk.text;
      this.#probed += tokensOf(chunk).length;
      for (const one of chunk.logprobs ?? []) logprob += one.logprob;
      if (!wanted.some((one) => one.startsWith(written) && one !== written)) break;
    }
    const hit = wanted.findIndex((one) => written.startsWith(one));
    return {
      textLength: text.length,
      logprobs: wanted.map((_, i) => (i === hit ? logprob : -Infinity)),
      argmax: hit < 0 ? -1 : watch[hit]!,
      argmaxLogprob: hit < 0 ? -Infinity : logprob,
    };
  }

  /** What the place predicted that `token` was drawn from. */
  #next(token: Token | null, watch: readonly number[]): Omit<WatchedPosition, 'textLength'> {
    if (!token) return { logprobs: watch.map(() => -Infinity), argmax: -1, argmaxLogprob: -Infinity };
    const all = [token, ...(token.top ?? [])].sort((a, b) => b.logprob - a.logprob);
    return this.#rows(all, watch);
  }

  #rows(
    next: readonly { text: string; logprob: number }[],
    watch: readonly number[],
  ): Omit<WatchedPosition, 'textLength'> {
    const known = new Map(next.map(({ text, logprob }) => [text, logprob]));
    const best = next[0];
    return {
      logprobs: watch.map((id) => known.get(this.#textOf(id)) ?? -Infinity),
      argmax: best ? this.#idOf(best.text) : -1,
      argmaxLogprob: best?.logprob ?? -Infinity,
    };
  }

  /** Bans are kept here, by the tokens' texts; what is added to a logit must be the server's to add. */
  #samplingOf(sampling: NonNullable<GenerateOptions['sampling']>): {
    sampling: NonNullable<GenerateOptions['sampling']>;
    banned: ReadonlySet<string>;
  } {
    const banned = new Set<string>();
    const logitBias: Record<number, number> = {};
    for (const [name, value] of Object.entries(sampling.logitBias ?? {})) {
      const id = Number(name);
      if (id < FIRST_ID) logitBias[id] = value;
      else if (value === -Infinity) banned.add(this.#textOf(id));
      else {
        const own = this.#serverIds.get(this.#textOf(id));
        if (own === undefined)
          throw new SplitError(
            'unsuitable-model',
            `${this.#model.id} at ${this.#model.location} does not tell its token ids, which a bias on the tag needs; use threshold:P`,
          );
        logitBias[own] = value;
      }
    }
    const { logitBias: _, ...rest } = sampling;
    return {
      sampling: Object.keys(logitBias).length > 0 ? { ...rest, logitBias } : rest,
      banned,
    };
  }

  /** Tokens that still fit behind the text; Infinity where the server does not say what it holds. */
  #room(): number {
    const { capacity } = this.#insight;
    if (capacity === null) return Infinity;
    // A few to spare: the text's tokens are counted from its length.
    const room = capacity - Math.ceil(this.#text.length * this.#density) - 8;
    if (room < 1) throw new ContextFull(`the text fills the ${capacity} tokens of ${this.#model.id}`);
    return room;
  }

  #count(tokens: number): void {
    if (this.#text.length > 0 && tokens > 0) this.#density = tokens / this.#text.length;
  }

  async *#named(stream: AsyncIterable<TextChunk>): AsyncGenerator<TextChunk> {
    try {
      yield* stream;
    } catch (error) {
      throw tooLong(error);
    }
  }

  async #fits<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw tooLong(error);
    }
  }

  #takeNotes(): { notes?: readonly string[] } {
    const notes = this.#notes.splice(0);
    return notes.length > 0 ? { notes } : {};
  }

  #idOf(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = FIRST_ID + this.#texts.length;
      this.#texts.push(text);
      this.#ids.set(text, id);
    }
    return id;
  }

  #textOf(id: number): string {
    return this.#texts[id - FIRST_ID] ?? '';
  }
}

/** How servers say that a prompt is too long. */
const TOO_LONG = /context (?:length|size|window)|too long|maximum (?:model|context)|exceeds? .*tokens/i;

function tooLong(error: unknown): unknown {
  const full = error instanceof EndpointError && error.kind === 'bad-request' && TOO_LONG.test(error.message);
  return full ? new ContextFull(error.message, { cause: error }) : error;
}

/** A chunk's text by tokens. Where they do not make up the text (halves of a character), the last one has all of it. */
function tokensOf(chunk: TextChunk): [text: string, token: Token | null][] {
  const tokens = chunk.logprobs ?? [];
  if (tokens.length === 0) return chunk.text === '' ? [] : [[chunk.text, null]];
  const plain = tokens.map(({ text }) => text).join('') === chunk.text;
  return tokens.map((token, i) => [plain ? token.text : i === tokens.length - 1 ? chunk.text : '', token]);
}

/** The likeliest alternative that may be written. */
function likeliest(token: Token, banned: ReadonlySet<string>, model: string): Token {
  const rest = (token.top ?? []).filter(
    ({ text }) => text !== '' && !banned.has(text) && !text.startsWith('bytes:') && !text.includes('\uFFFD'),
  );
  const best = rest.toSorted((a, b) => b.logprob - a.logprob)[0];
  if (best) return best;
  throw new SplitError(
    'unsuitable-model',
    `${model} names no alternative to a token that must not be written here`,
  );
}

function commonLength(a: string, b: string): number {
  let n = 0;
  while (n < a.length && n < b.length && a.charCodeAt(n) === b.charCodeAt(n)) n++;
  return n;
}
