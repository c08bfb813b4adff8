// A model behind the bridge as a TextModel with sessions: what a relay needs of its small model, over HTTP. A session that
// the bridge had to give up is opened again and brought back to where it was.
import type {
  ChatMessage,
  GenerateOptions,
  RenderOptions,
  SyncResult,
  TextChunk,
  TextModel,
  TextModelCapabilities,
  TextSession,
  WatchedPosition,
} from '@baton/runtime/text-model';
import { EndpointError } from '@baton/split';
import {
  OpenAICompletionsModel,
  apiBase,
  postEvents,
  requestJson,
  type EndpointOptions,
} from '@baton/split/endpoint';

export interface BridgeAddress {
  /** Base address, with or without /v1. */
  url: string;
  /** From pairing. */
  token?: string;
  fetch?: typeof fetch;
}

/** What /v1/models says of the bridge's model. */
interface ModelEntry {
  id: string;
  location: string;
  sessions: boolean;
  max_model_len: number | null;
}

/**
 * Opens the bridge's model. Gives null for a server that is no bridge or that has no sessions (a relay); throws
 * EndpointError where it cannot be reached or refuses the token.
 */
export async function openBridge(address: BridgeAddress, signal?: AbortSignal): Promise<BridgeModel | null> {
  const http = optionsOf(address);
  const list = (await requestJson(`${apiBase(address.url)}/models`, 'GET', undefined, http, signal)) as {
    data?: (Partial<ModelEntry> & { owned_by?: unknown })[];
  };
  const entry = list.data?.[0];
  if (entry?.owned_by !== 'baton' || entry.sessions !== true || typeof entry.id !== 'string') return null;
  return new BridgeModel(address, entry as ModelEntry);
}

export class BridgeModel implements TextModel {
  readonly id: string;
  readonly location: string;
  /** Execution target on the bridge's side. */
  readonly target: string;
  readonly capabilities: TextModelCapabilities = {
    logprobs: true,
    sessions: true,
    rawCompletion: true,
    billed: false,
  };
  readonly #base: string;
  readonly #http: EndpointOptions;
  readonly #completions: OpenAICompletionsModel;

  constructor(address: BridgeAddress, entry: ModelEntry) {
    this.id = entry.id;
    this.target = entry.location;
    this.#base = apiBase(address.url);
    this.location = `${entry.location} at ${new URL(this.#base).host}`;
    this.#http = optionsOf(address);
    this.#completions = new OpenAICompletionsModel({ ...this.#http, model: entry.id, billed: false });
  }

  generate(prompt: string, options: GenerateOptions = {}): AsyncIterable<TextChunk> {
    return this.#completions.generate(prompt, options);
  }

  async renderChat(messages: readonly ChatMessage[], options: RenderOptions = {}): Promise<string> {
    return (await this.post<{ text: string }>('render', { messages, ...options })).text;
  }

  async openSession(): Promise<BridgeSession> {
    const session = new BridgeSession(this);
    await session.open();
    return session;
  }

  /** One call of the bridge's own API. */
  async post<T>(path: string, body: object, signal?: AbortSignal): Promise<T> {
    return (await requestJson(`${this.#base}/${path}`, 'POST', body, this.#http, signal)) as T;
  }

  events(path: string, body: object, signal?: AbortSignal): AsyncGenerator<string, unknown> {
    return postEvents(`${this.#base}/${path}`, body, this.#http, signal);
  }
}

type Chunk = TextChunk & { watched?: readonly WatchedPosition[] };

export class BridgeSession implements TextSession {
  readonly #model: BridgeModel;
  #id = '';
  #capacity = 0;
  #tokens = 0;
  /** What the bridge holds for us. */
  #text = '';

  constructor(model: BridgeModel) {
    this.#model = model;
  }

  async open(): Promise<void> {
    const { session, capacity } = await this.#model.post<{ session: string; capacity: number }>(
      'sessions',
      {},
    );
    this.#id = session;
    this.#capacity = capacity;
  }

  async encode(text: string): Promise<readonly number[]> {
    return (await this.#model.post<{ ids: number[] }>('tokenize', { text })).ids;
  }

  sync(text: string, options: { watch?: readonly number[]; signal?: AbortSignal } = {}): Promise<SyncResult> {
    return this.#again(text, () => this.#sync(text, options));
  }

  async *generate(options: GenerateOptions & { watch?: readonly number[] } = {}): AsyncGenerator<Chunk> {
    const { signal, ...rest } = options;
    const body = { ...rest, ...(rest.sampling ? { sampling: wireSampling(rest.sampling) } : {}) };
    if (!Number.isFinite(rest.maxTokens ?? 0)) delete body.maxTokens;
    const start = async (): Promise<{
      events: AsyncGenerator<string, unknown>;
      first: IteratorResult<string, unknown>;
    }> => {
      const events = this.#model.events(`sessions/${this.#id}/generate`, body, signal);
      return { events, first: await events.next() };
    };
    const { events, first } = await this.#again(this.#text, start);
    try {
      for (let at = first; !at.done; at = await events.next()) {
        const chunk = chunkOf(at.value, this.#model.location);
        this.#text += chunk.text;
        this.#tokens += chunk.tokenIds.length;
        yield chunk;
      }
    } finally {
      // Closes the connection, which makes the bridge stop.
      await events.return(undefined);
    }
  }

  async state(): Promise<{ tokens: number; capacity: number; text: string }> {
    return { tokens: this.#tokens, capacity: this.#capacity, text: this.#text };
  }

  async close(): Promise<void> {
    await this.#model.post(`sessions/${this.#id}/close`, {}).catch((error: unknown) => {
      if (!isGone(error)) throw error;
    });
  }

  async #sync(
    text: string,
    { watch, signal }: { watch?: readonly number[]; signal?: AbortSignal },
  ): Promise<SyncResult> {
    const body = { text, ...(watch ? { watch } : {}) };
    const result = await this.#model.post<SyncResult>(`sessions/${this.#id}/sync`, body, signal);
    this.#text = text;
    this.#tokens = result.kept + result.ingested;
    return { ...result, watched: result.watched.map(watchedOf) };
  }

  /** Runs `work`; where the bridge gave the session up, once more in a new one that holds what the old one held. */
  async #again<T>(text: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isGone(error)) throw error;
      const held = commonStart(this.#text, text);
      await this.open();
      if (held !== '') await this.#sync(held, {});
      return work();
    }
  }
}

function optionsOf({ url, token, fetch }: BridgeAddress): EndpointOptions {
  return {
    url,
    ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    ...(fetch ? { fetch } : {}),
  };
}

function isGone(error: unknown): boolean {
  return error instanceof EndpointError && error.status === 404;
}

function commonStart(a: string, b: string): string {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return a.slice(0, n);
}

/** JSON has no -Infinity; the bridge reads null as "never". */
function wireSampling(sampling: NonNullable<GenerateOptions['sampling']>): object {
  const { logitBias, ...rest } = sampling;
  if (!logitBias) return rest;
  const entries = Object.entries(logitBias).map(([id, value]) => [id, Number.isFinite(value) ? value : null]);
  return { ...rest, logitBias: Object.fromEntries(entries) as object };
}

function chunkOf(data: string, place: string): Chunk {
  const chunk = JSON.parse(data) as Chunk & { error?: { message?: string } };
  if (chunk.error)
    throw new EndpointError('server', `${place}: ${chunk.error.message ?? 'the bridge failed'}`);
  const logprobs = chunk.logprobs?.map((one) => ({
    ...lowest(one),
    ...(one.top ? { top: one.top.map(lowest) } : {}),
  }));
  return {
    ...chunk,
    ...(logprobs ? { logprobs } : {}),
    ...(chunk.watched ? { watched: chunk.watched.map(watchedOf) } : {}),
  };
}

function lowest<T extends { logprob: number }>(one: T): T {
  return { ...one, logprob: one.logprob ?? -Infinity };
}

function watchedOf(one: WatchedPosition): WatchedPosition {
  return { ...one, logprobs: one.logprobs.map((value) => value ?? -Infinity) };
}
