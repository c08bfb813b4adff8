// A model behind an OpenAI-compatible server, seen as a TextModel: raw text in, its continuation out, over
// POST /v1/completions with streaming. Closing the iteration or aborting the signal closes the connection, which is what
// makes such servers stop generating.

import type {
  GenerateOptions,
  Sampling,
  TextChunk,
  TextModel,
  TextModelCapabilities,
  Usage,
} from '@baton/runtime/text-model';

import { EndpointError } from '../split-error.ts';
import { postEvents, requestJson } from './event-stream.ts';
import type { HttpOptions } from './event-stream.ts';
import { parseEvent } from './wire.ts';

export interface EndpointOptions extends HttpOptions {
  /** Base address, with or without the trailing /v1 (or the provider's own version folder). */
  url: string;
  /** Model id as the server knows it; found through /v1/models when absent. */
  model?: string;
  apiKey?: string;
  /** Ask for log-probabilities of generated tokens: exact token counts at a cut depend on them. Default true. */
  logprobs?: boolean;
  /** Input tokens cost money here: no keep-warm requests unless asked for. Default: true with an API key. */
  billed?: boolean;
  /** Fields added to every request body (provider routing, `chat_template_kwargs` ...). */
  extraBody?: Readonly<Record<string, unknown>>;
}

/** The address of an API's folder: a path is kept as it is, a bare host gets /v1. Throws EndpointError on a bad URL. */
export function apiBase(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (error) {
    throw new EndpointError('bad-request', `"${url}" is not an address such as http://127.0.0.1:8787/v1`, {
      cause: error,
    });
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw new EndpointError('bad-request', `"${url}": only http and https endpoints are supported`);
  const path = parsed.pathname.replace(/\/+$/, '');
  return `${parsed.origin}${path === '' ? '/v1' : path}${parsed.search}`;
}

export function headersOf(options: EndpointOptions): HttpOptions {
  const auth: Record<string, string> =
    options.apiKey === undefined || options.apiKey === ''
      ? {}
      : { authorization: `Bearer ${options.apiKey}` };
  return { ...options, headers: { ...auth, ...options.headers } };
}

/** The first model id that the server lists. */
export async function firstModelId(options: EndpointOptions, signal?: AbortSignal): Promise<string> {
  const url = `${apiBase(options.url)}/models`;
  const json = (await requestJson(url, 'GET', undefined, headersOf(options), signal)) as {
    data?: { id?: unknown }[];
  };
  const id = json?.data?.[0]?.id;
  if (typeof id !== 'string')
    throw new EndpointError('malformed', `${url} lists no model; name one (--large-model)`);
  return id;
}

export class OpenAICompletionsModel implements TextModel {
  readonly location: string;
  readonly capabilities: TextModelCapabilities;
  readonly #options: EndpointOptions;
  readonly #http: HttpOptions;
  #model: string | null;

  constructor(options: EndpointOptions) {
    this.location = apiBase(options.url);
    this.#options = options;
    this.#http = headersOf(options);
    this.#model = options.model ?? null;
    this.capabilities = {
      logprobs: options.logprobs ?? true,
      sessions: false,
      rawCompletion: true,
      billed: options.billed ?? (options.apiKey !== undefined && options.apiKey !== ''),
    };
  }

  /** The model id; the server's address until it is known. */
  get id(): string {
    return this.#model ?? this.location;
  }

  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    this.#model ??= await firstModelId(this.#options, options.signal);
    const body = {
      ...generationFields(options),
      ...this.#options.extraBody,
      model: this.#model,
      prompt,
      ...(this.capabilities.logprobs ? { logprobs: options.topLogprobs ?? 0 } : {}),
    };
    yield* streamChunks(`${this.location}/completions`, body, this.#http, options.signal);
  }

  /**
   * Log-probabilities of the tokens of `text` itself (echo), with `top` alternatives each: what exact speculative
   * decoding and the scoring of steps read. Throws EndpointError `bad-request` where the server has no echo.
   */
  async score(
    text: string,
    options: { top?: number; signal?: AbortSignal } = {},
  ): Promise<{ tokens: NonNullable<TextChunk['logprobs']>; next: string | null; usage: Usage | null }> {
    this.#model ??= await firstModelId(this.#options, options.signal);
    const body = {
      ...this.#options.extraBody,
      model: this.#model,
      prompt: text,
      echo: true,
      // Some servers refuse max_tokens 0; the token asked for is cut off again below.
      max_tokens: 1,
      temperature: 0,
      logprobs: options.top ?? 1,
    };
    const url = `${this.location}/completions`;
    const json = await requestJson(url, 'POST', body, this.#http, options.signal);
    const event = parseEvent(JSON.stringify(json), url);
    if (event.logprobs === undefined || event.logprobs.length < 2)
      throw new EndpointError('bad-request', `${url}: the server gives no prompt log-probabilities (echo)`);
    return {
      tokens: event.logprobs.slice(0, -1),
      next: event.finishReason === 'stop' ? null : (event.logprobs.at(-1)?.text ?? null),
      usage: event.usage ?? null,
    };
  }
}

/** Fields that completions and chat share. Non-standard ones are sent only when they are asked for. */
export function generationFields(options: GenerateOptions): Record<string, unknown> {
  return {
    stream: true,
    stream_options: { include_usage: true },
    ...(options.maxTokens === undefined ? {} : { max_tokens: options.maxTokens }),
    // The API takes at most four stop strings.
    ...(options.stop && options.stop.length > 0 ? { stop: options.stop.slice(0, 4) } : {}),
    ...samplingFields(options.sampling ?? {}),
  };
}

function samplingFields(sampling: Sampling): Record<string, unknown> {
  const fields: Record<string, unknown> = { temperature: sampling.temperature ?? 0 };
  if (sampling.topP !== undefined) fields.top_p = sampling.topP;
  if (sampling.topK !== undefined) fields.top_k = sampling.topK;
  if (sampling.minP !== undefined) fields.min_p = sampling.minP;
  if (sampling.repetitionPenalty !== undefined) fields.repetition_penalty = sampling.repetitionPenalty;
  if (sampling.presencePenalty !== undefined) fields.presence_penalty = sampling.presencePenalty;
  if (sampling.frequencyPenalty !== undefined) fields.frequency_penalty = sampling.frequencyPenalty;
  if (sampling.seed !== undefined) fields.seed = sampling.seed;
  const bias = Object.entries(sampling.logitBias ?? {});
  // JSON has no infinity; -100 is the API's own "banned".
  if (bias.length > 0)
    fields.logit_bias = Object.fromEntries(
      bias.map(([id, value]) => [id, Math.max(-100, Math.min(100, value))]),
    );
  return fields;
}

/** Posts and reads one streamed generation. The last chunk, and only it, has the finish reason and the usage. */
export async function* streamChunks(
  url: string,
  body: unknown,
  http: HttpOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<TextChunk> {
  const events = postEvents(url, body, http, signal);
  let last: Pick<TextChunk, 'finishReason' | 'stopped' | 'usage'> = {};
  try {
    for (;;) {
      const next = await events.next();
      if (next.done) {
        // [DONE] without a finish reason is an end all the same; a bare end of the stream is not.
        if (last.finishReason === undefined && next.value === 'eof')
          throw new EndpointError('cut', `${url}: the stream ended in the middle`);
        yield { text: '', tokenIds: [], finishReason: 'stop', ...last };
        return;
      }
      const { text, tokenIds, logprobs, finishReason, stopped, usage } = parseEvent(next.value, url);
      if (finishReason) last = { ...last, finishReason };
      if (stopped !== undefined) last = { ...last, stopped };
      if (usage) last = { ...last, usage };
      if (text !== '' || tokenIds.length > 0 || (logprobs?.length ?? 0) > 0)
        yield { text, tokenIds, ...(logprobs ? { logprobs } : {}), ...(usage ? { usage } : {}) };
    }
  } finally {
    await events.return('eof');
  }
}
