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

import { EndpointError, isAbort } from '../split-error.ts';
import { apiBase, apiUrl, credentialsOf, queryOf } from './address.ts';
import { requestJson } from './event-stream.ts';
import type { HttpOptions } from './event-stream.ts';
import { READS_ALONG } from './reads-along-header.ts';
import { sendsPieces } from './node-request.ts';
import { StreamedPrompt } from './streamed-prompt.ts';
import type { OpenPrompt, PromptStreaming } from './streamed-prompt.ts';
import { streamChunks } from './stream-chunks.ts';
import type { RequestForm } from './stream-chunks.ts';
import { parseEvent } from './wire.ts';

export interface EndpointOptions extends Omit<HttpOptions, 'query'> {
  /** Base address, with or without the trailing /v1 (or the provider's own version folder). */
  url: string;
  /** Model id as the server knows it; found through /v1/models when absent. */
  model?: string;
  apiKey?: string;
  /** Ask for log-probabilities of generated tokens: exact token counts at a cut depend on them. Default true. */
  logprobs?: boolean;
  /** Alternatives below which the server tells no log-probabilities at all. Default 0. */
  leastLogprobs?: number;
  /** Input tokens cost money here: no keep-warm requests unless asked for. Default: true with an API key. */
  billed?: boolean;
  /** Send only the fields that every server knows. Found out by itself where a server refuses others. */
  plain?: boolean;
  /** Names that the server has for fields, by OpenAI's names (`{ seed: 'random_seed' }`); null: the field is left out. */
  fieldNames?: Readonly<Record<string, string | null>>;
  /** Field of a message for the thought in front of it, where a thought is not to stand in the text (DeepSeek's `prefix`). */
  thoughtField?: string;
  /** Fields added to every request body (provider routing, `chat_template_kwargs` ...). */
  extraBody?: Readonly<Record<string, unknown>>;
}

const COLLECTED =
  'a proxy in front of the large model keeps requests until they are whole: prompts are sent whole from now on';

/** How requests to the endpoint are sent: with what its address holds beside the place. */
export function httpOf(options: EndpointOptions): HttpOptions {
  const auth: Record<string, string> =
    options.apiKey === undefined || options.apiKey === ''
      ? credentialsOf(options.url)
      : { authorization: `Bearer ${options.apiKey}` };
  return { ...options, headers: { ...auth, ...options.headers }, query: queryOf(options.url) };
}

/** The first model id that the server lists. */
export async function firstModelId(options: EndpointOptions, signal?: AbortSignal): Promise<string> {
  const url = apiUrl(options.url, 'models');
  const json = (await requestJson(url, 'GET', undefined, httpOf(options), signal)) as {
    data?: { id?: unknown }[];
  };
  const id = json?.data?.[0]?.id;
  if (typeof id !== 'string')
    throw new EndpointError('malformed', `${url} lists no model; name one (--large-model)`);
  return id;
}

export class OpenAICompletionsModel implements TextModel, PromptStreaming {
  readonly location: string;
  readonly capabilities: TextModelCapabilities;
  readonly #options: EndpointOptions;
  readonly #http: HttpOptions;
  readonly #form: RequestForm;
  readonly #opened = new Set<StreamedPrompt>();
  #model: string | null;
  /** Within what time a request must be complete that the server reads along; null where it is not known to, or failed to. */
  #readsAlongMs: number | null = null;
  #readingFailed = false;

  constructor(options: EndpointOptions) {
    this.location = apiBase(options.url);
    this.#form = { plain: options.plain ?? false };
    this.#options = options;
    this.#http = { ...httpOf(options), onHeaders: (headers) => this.#learn(headers.get(READS_ALONG)) };
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
    const fields = {
      ...requestFields(limited(options), this.#options),
      ...(this.capabilities.logprobs
        ? { logprobs: Math.max(this.#options.leastLogprobs ?? 0, options.topLogprobs ?? 0) }
        : {}),
    };
    const opened = this.#openedFor(prompt);
    if (opened) {
      let begun = false;
      try {
        for await (const chunk of opened.finish(prompt, fields, options.signal)) {
          const collected = !begun && opened.collected;
          begun = true;
          if (collected) this.#readingFailed = true;
          yield collected ? { ...chunk, notes: [COLLECTED] } : chunk;
        }
        return;
      } catch (error) {
        // What is wrong is found out by a request of the usual kind, where it is not only the way of sending.
        if (begun || isAbort(error) || !(error instanceof EndpointError) || error.kind === 'silence')
          throw error;
        this.#readingFailed = true;
      }
    }
    const body = { ...fields, model: this.#model, prompt };
    yield* streamChunks(this.#url, body, this.#http, options.signal, this.#form);
  }

  openPrompt(prompt: string): OpenPrompt | null {
    if (this.#readsAlongMs === null || this.#readingFailed || this.#model === null) return null;
    for (const old of this.#opened) if (!old.usable) this.#opened.delete(old);
    const how = { url: this.#url, model: this.#model, http: this.#http, withinMs: this.#readsAlongMs };
    const opened = new StreamedPrompt(prompt, how);
    this.#opened.add(opened);
    return opened;
  }

  /** The request under way whose prompt is the longest beginning of this one; nobody else can have it then. */
  #openedFor(prompt: string): StreamedPrompt | undefined {
    const fitting = [...this.#opened].filter((one) => one.usable && prompt.startsWith(one.text));
    const longest = fitting.toSorted((a, b) => b.text.length - a.text.length)[0];
    if (longest) this.#opened.delete(longest);
    return longest;
  }

  get #url(): string {
    return apiUrl(this.#options.url, 'completions');
  }

  #learn(readsAlong: string | null): void {
    const seconds = Number(readsAlong ?? Number.NaN);
    if (seconds > 0 && this.#options.fetch === undefined && sendsPieces())
      this.#readsAlongMs = seconds * 1000;
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
    // vLLM refuses stream_options where nothing is streamed.
    const { stream_options: _, ...extra } = { ...this.#options.extraBody } as Record<string, unknown>;
    const body = {
      ...extra,
      model: this.#model,
      prompt: text,
      echo: true,
      // Some servers refuse max_tokens 0; the token asked for is cut off again below.
      max_tokens: 1,
      temperature: 0,
      logprobs: options.top ?? 1,
    };
    const url = apiUrl(this.#options.url, 'completions');
    const json = await requestJson(url, 'POST', body, this.#http, options.signal);
    const event = parseEvent(JSON.stringify(json), url);
    if (event.logprobs === undefined || event.logprobs.length < 2)
      throw new EndpointError('bad-request', `${url}: the server gives no prompt log-probabilities (echo)`);
    // Where the model ends the text there, some servers list the end and others nothing.
    const listed = event.usage?.completionTokens === 0 || joined(event.logprobs) === text ? 0 : 1;
    return {
      tokens: event.logprobs.slice(0, event.logprobs.length - listed),
      next: event.finishReason === 'stop' || listed === 0 ? null : (event.logprobs.at(-1)?.text ?? null),
      usage: event.usage ?? null,
    };
  }
}

function joined(tokens: readonly { text: string }[]): string {
  return tokens.map((token) => token.text).join('');
}

/** What is asked for where there is no limit: what an answer gets by default (relay/budget.ts). */
const MOST_TOKENS = 4096;

/**
 * Raw completions cannot go without a limit: 16 tokens come where none is said (OpenAI, vLLM, SGLang), `null` is refused, and so is
 * what is more than the context holds.
 */
function limited(options: GenerateOptions): GenerateOptions {
  return options.maxTokens === Infinity ? { ...options, maxTokens: MOST_TOKENS } : options;
}

/** What one generation asks for, in the server's own names, with the fields that every request to it carries. */
export function requestFields(options: GenerateOptions, endpoint: EndpointOptions): Record<string, unknown> {
  const names = endpoint.fieldNames ?? {};
  const fields = Object.entries(generationFields(options)).flatMap(([name, value]) => {
    const own = names[name] === undefined ? name : names[name];
    return own === null ? [] : [[own, value] as const];
  });
  return { ...Object.fromEntries(fields), ...endpoint.extraBody };
}

/** Fields that completions and chat share. Non-standard ones are sent only when they are asked for. */
function generationFields(options: GenerateOptions): Record<string, unknown> {
  return {
    stream: true,
    stream_options: { include_usage: true },
    // JSON has no infinity; a chat goes on to its end where nothing is said.
    ...(Number.isFinite(options.maxTokens) ? { max_tokens: options.maxTokens } : {}),
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
