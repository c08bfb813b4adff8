// Finds out what an endpoint can do by asking it: its model list, raw completion, then each way of continuing a chat turn.
// Costs a handful of short requests, sent as the relay sends its own, so that what works here works there.

import { EndpointError, isAbort, messageOf } from '../split-error.ts';
import { apiBase, apiUrl } from './address.ts';
import { messagesFor } from './chat-continuation.ts';
import type { Dialect } from './chat-continuation.ts';
import { requestJson } from './event-stream.ts';
import { httpOf, requestFields } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';
import { presetByOwner } from './presets.ts';
import type { Preset } from './presets.ts';
import { timerMs } from '../timer.ts';
import { streamChunks } from './stream-chunks.ts';
import { parseEvent } from './wire.ts';

export interface EndpointProbe {
  model: string;
  /** The server's kind where its model list tells it (`owned_by`). */
  preset: string | null;
  /** The best way to continue a thought, or null where not even a chat turn works. */
  continuation: 'raw' | 'ollama' | Dialect | null;
  logprobs: boolean;
  /** Log-probabilities of the prompt's own tokens (echo). */
  promptLogprobs: boolean;
  reportsCachedTokens: boolean;
  /** The server refuses fields beyond the plainest. */
  plain: boolean;
  /** Time to the first token of the request that worked, in milliseconds. */
  latencyMs: number;
  /** One line per thing that was tried and did not work. */
  remarks: string[];
  /** Why nothing works, where `continuation` is null. */
  failure: EndpointError | null;
}

export interface ProbeOptions {
  signal?: AbortSignal | undefined;
  /** Also ask for prompt log-probabilities: one more request. Default true. */
  echo?: boolean;
  /** The whole probe may take so long, in milliseconds. Default 60 s. */
  deadlineMs?: number;
}

/** A text whose next word leaves no doubt: a server that continues it says "Friday"; one that starts anew does not. */
const TURN = {
  question: 'Write the days of the working week in order, separated by commas.',
  partial: 'Monday, Tuesday, Wednesday, Thursday,',
  prompt: '',
  answer: '',
};
const CONTINUED = /^\s*Friday/i;
/** Answers are read no further than this, for a server that ignores max_tokens. */
const ENOUGH_CHARACTERS = 200;

/** Longest wait for the beginning of an answer: a hand-off may wait for a model to be loaded, a question of what there is may not. */
const PATIENCE_MS = 30_000;

/** Throws EndpointError when the endpoint cannot be reached at all, refuses the key, or lists no model and none is named. */
export async function probeEndpoint(
  options: EndpointOptions,
  { signal, echo = true, deadlineMs = 60_000 }: ProbeOptions = {},
): Promise<EndpointProbe> {
  const control = new AbortController();
  const onAbort = (): void => control.abort();
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    control.abort();
  }, timerMs(deadlineMs));
  try {
    return await new Prober(options, control.signal).run(echo);
  } catch (error) {
    if (late)
      throw new EndpointError(
        'silence',
        `${apiBase(options.url)}: the probe took longer than ${deadlineMs} ms`,
      );
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

interface Answer {
  text: string;
  logprobs: boolean;
  cachedTokens: boolean;
}

class Prober {
  readonly #options: EndpointOptions;
  readonly #signal: AbortSignal;
  readonly #form = { plain: false };
  readonly #remarks: string[] = [];
  #failure: EndpointError | null = null;
  #model = '';
  #latencyMs = Number.NaN;

  constructor(options: EndpointOptions, signal: AbortSignal) {
    this.#options = { firstMs: options.connectMs ?? PATIENCE_MS, ...options };
    this.#signal = signal;
    this.#form.plain = options.plain ?? false;
  }

  async run(echo: boolean): Promise<EndpointProbe> {
    const listed = await this.#firstListed();
    const model = this.#options.model ?? listed?.id;
    if (model === undefined)
      throw new EndpointError(
        'malformed',
        `${apiUrl(this.#options.url, 'models')} lists no model; name one (--large-model)`,
      );
    this.#model = model;
    const preset = presetByOwner(listed?.owner ?? '');
    const settings = withPreset(preset, this.#options);
    const found = (part: Partial<EndpointProbe>): EndpointProbe => ({
      model,
      preset: preset?.name ?? null,
      continuation: null,
      logprobs: false,
      promptLogprobs: false,
      reportsCachedTokens: false,
      plain: this.#form.plain,
      latencyMs: this.#latencyMs,
      remarks: this.#remarks,
      failure: null,
      ...part,
    });
    if (preset?.continuation === 'ollama') return found({ continuation: 'ollama' });
    const raw = await this.#ask('completions', { prompt: TURN.partial, logprobs: 1 }, 1, settings);
    if (raw) {
      const promptLogprobs = echo && raw.logprobs && (await this.#echoes());
      return found({
        continuation: 'raw',
        logprobs: raw.logprobs,
        promptLogprobs,
        reportsCachedTokens: raw.cachedTokens,
      });
    }
    let phrase: EndpointProbe | null = null;
    for (const dialect of ['continue', 'prefix', 'trailing'] as const) {
      const answer = await this.#ask('chat/completions', messagesFor(TURN, dialect), 12, settings);
      if (!answer) continue;
      const { text, cachedTokens } = answer;
      const rest = text.startsWith(TURN.partial) ? text.slice(TURN.partial.length) : text;
      if (CONTINUED.test(rest)) return found({ continuation: dialect, reportsCachedTokens: cachedTokens });
      this.#remarks.push(
        `chat/completions: the "${dialect}" form was accepted but the turn was not continued`,
      );
      phrase = found({ continuation: 'phrase', reportsCachedTokens: cachedTokens });
    }
    return phrase ?? found({ failure: this.#failure });
  }

  /** The first model of the list; null where there is no list. */
  async #firstListed(): Promise<{ id: string | undefined; owner: string } | null> {
    const url = apiUrl(this.#options.url, 'models');
    try {
      const http = httpOf(this.#options);
      const json = (await requestJson(url, 'GET', undefined, http, this.#signal)) as {
        data?: { id?: unknown; owned_by?: unknown }[];
      } | null;
      const wanted = this.#options.model;
      const list = Array.isArray(json?.data) ? json.data : [];
      const entry = list.find(({ id }) => id === wanted) ?? list[0];
      const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
      return { id: text(entry?.id), owner: text(entry?.owned_by) ?? '' };
    } catch (error) {
      // A server need not list its models; where nothing listens there is nothing else to ask.
      if (!this.#survives(error) || this.#options.model === undefined) throw error;
      this.#remarks.push(messageOf(error));
      return null;
    }
  }

  /** One short generation; null, with a remark, where the server does not answer it. */
  async #ask(
    path: string,
    body: Record<string, unknown>,
    maxTokens: number,
    settings: EndpointOptions,
  ): Promise<Answer | null> {
    const url = apiUrl(settings.url, path);
    const fields = requestFields({ maxTokens }, settings);
    const answer: Answer = { text: '', logprobs: false, cachedTokens: false };
    const started = performance.now();
    let first = Number.NaN;
    try {
      const request = { ...fields, ...body, model: this.#model };
      for await (const chunk of streamChunks(url, request, httpOf(settings), this.#signal, this.#form)) {
        if (Number.isNaN(first)) first = performance.now() - started;
        answer.text += chunk.text;
        answer.logprobs ||= (chunk.logprobs?.length ?? 0) > 0;
        answer.cachedTokens ||= chunk.usage?.cachedTokens !== undefined;
        if (answer.text.length > ENOUGH_CHARACTERS) break;
      }
    } catch (error) {
      // A stream that breaks off behind its first text has shown what it can do.
      if (answer.text === '' || isAbort(error)) {
        if (!this.#survives(error)) throw error;
        this.#remarks.push(messageOf(error));
        return null;
      }
    }
    this.#latencyMs = first;
    return answer;
  }

  async #echoes(): Promise<boolean> {
    const url = apiUrl(this.#options.url, 'completions');
    const body = {
      prompt: TURN.partial,
      max_tokens: 1,
      temperature: 0,
      echo: true,
      logprobs: 1,
      model: this.#model,
    };
    try {
      const json = await requestJson(url, 'POST', body, httpOf(this.#options), this.#signal);
      return (parseEvent(JSON.stringify(json), url).logprobs?.length ?? 0) > 1;
    } catch (error) {
      if (!this.#survives(error)) throw error;
      this.#remarks.push(`echo: ${messageOf(error)}`);
      return false;
    }
  }

  /** Whether something else may still be asked after this failure. Keeps the most telling one. */
  #survives(error: unknown): boolean {
    if (!(error instanceof EndpointError) || LOST.has(error.kind)) return false;
    if (this.#failure === null || this.#failure.kind === 'bad-request') this.#failure = error;
    return true;
  }
}

/** A preset's settings under those that were given. */
export function withPreset(preset: Preset | null, given: EndpointOptions): EndpointOptions {
  if (preset === null) return given;
  return {
    billed: preset.billed,
    logprobs: preset.logprobs,
    ...(preset.fieldNames ? { fieldNames: preset.fieldNames } : {}),
    ...(preset.thoughtField === undefined ? {} : { thoughtField: preset.thoughtField }),
    ...(preset.leastLogprobs === undefined ? {} : { leastLogprobs: preset.leastLogprobs }),
    ...given,
    extraBody: { ...preset.extraBody, ...given.extraBody },
  };
}

/** Failures that end the probe: nothing that is asked differently would work. */
const LOST: ReadonlySet<string> = new Set([
  'refused',
  'dns',
  'tls',
  'auth',
  'silence',
  'network',
  'rate-limit',
]);
