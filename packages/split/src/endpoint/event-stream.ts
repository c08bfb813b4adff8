// One POST whose answer is a stream of server-sent events: deadlines for the connection, for the answer's beginning and for
// silence inside it, retries while nothing has arrived, errors as EndpointError. It knows HTTP and SSE, not what the events mean.

import { createParser } from 'eventsource-parser';

import { EndpointError, isAbort } from '../split-error.ts';
import { timerMs } from '../timer.ts';
import { bodyText } from './body-text.ts';
import { fromFetchFailure, fromStatus } from './http-errors.ts';
import { GrowingBody } from './growing-body.ts';
import { sendRequest } from './node-request.ts';
import type { BodyReader, HttpAnswer, HttpRequest } from './node-request.ts';

export interface HttpOptions {
  /** Default: Node's own HTTP where there is one, else fetch. */
  fetch?: typeof fetch | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
  /** Sent behind the address, `?` included, and shown in no message. */
  query?: string | undefined;
  /** Longest wait for a connection. Default 30 s. */
  connectMs?: number | undefined;
  /**
   * Longest wait for the beginning of the answer, once there is a connection. Default: `connectMs` where that is given; else 10 minutes for
   * a stream, because a server may have to load its model first and whoever waits has a limit of his own, and 30 s for a JSON answer.
   */
  firstMs?: number | undefined;
  /** Longest silence inside the stream. Default 30 s. */
  idleMs?: number | undefined;
  /** Further attempts after 429, 5xx and failed connections, as long as nothing has arrived. Default 2. */
  retries?: number | undefined;
  /** Told the headers of each answer. */
  onHeaders?: ((headers: HttpAnswer['headers']) => void) | undefined;
  /** A Retry-After longer than this is not waited for: the request fails at once. Default 5 s. */
  maxRetryWaitMs?: number | undefined;
}

export type Signal = AbortSignal | undefined;

/**
 * Yields the data of each event, or with `lines` each line (Ollama's own API answers JSON line by line); ends at `[DONE]` or
 * at the end of the stream; the return value says which.
 */
export async function* postEvents(
  url: string,
  body: unknown,
  options: HttpOptions,
  signal: Signal,
  form: 'events' | 'lines' = 'events',
): AsyncGenerator<string, 'done' | 'eof'> {
  const control = new AbortController();
  const onAbort = (): void => control.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  let whole = false;
  try {
    const patience = patienceOf(options, MOST_BEFORE_STREAM_MS);
    const response = await withRetries(url, options, control.signal, () =>
      send(url, 'POST', body, options, patience, control),
    );
    const end = yield* readEvents(response, url, patience, control, form);
    whole = true;
    return end;
  } catch (error) {
    throw named(error, url, control.signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (!whole) control.abort();
  }
}

interface Patience {
  connectMs: number;
  firstMs: number;
  idleMs: number;
}

const MOST_SILENCE_MS = 30_000;
/** A cold model of a hundred gigabytes takes minutes to load. */
const MOST_BEFORE_STREAM_MS = 600_000;

function patienceOf({ connectMs, firstMs, idleMs }: HttpOptions, usualFirstMs: number): Patience {
  return {
    connectMs: connectMs ?? MOST_SILENCE_MS,
    firstMs: firstMs ?? connectMs ?? usualFirstMs,
    idleMs: idleMs ?? MOST_SILENCE_MS,
  };
}

/** Bytes of a JSON answer: the log-probabilities of a text of 128 thousand tokens, five alternatives each, take some 40 MB. */
const MOST_JSON_BYTES = 64 * 2 ** 20;

/** One request with a JSON answer, with the same deadlines, retries and errors. */
export async function requestJson(
  url: string,
  method: 'GET' | 'POST',
  body: unknown,
  options: HttpOptions,
  signal: Signal,
): Promise<unknown> {
  const control = new AbortController();
  const onAbort = (): void => control.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  try {
    const patience = patienceOf(options, MOST_SILENCE_MS);
    const response = await withRetries(url, options, control.signal, () =>
      send(url, method, body, options, patience, control),
    );
    const reading = bodyText(response, MOST_JSON_BYTES);
    const { text, whole } = await within(reading, patience.idleMs, url, control);
    if (!whole)
      throw new EndpointError('malformed', `${url}: the answer is longer than ${MOST_JSON_BYTES} bytes`);
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new EndpointError('malformed', `${url}: the answer is not JSON`, { cause: error });
    }
  } catch (error) {
    throw named(error, url, control.signal);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

async function send(
  url: string,
  method: 'GET' | 'POST',
  body: unknown,
  options: HttpOptions,
  { connectMs, firstMs, idleMs }: Patience,
  control: AbortController,
): Promise<HttpAnswer> {
  const connected = Promise.withResolvers<void>();
  const head = {
    method,
    headers: { 'content-type': 'application/json', ...options.headers },
    signal: control.signal,
    onConnected: connected.resolve,
  };
  const address = url + (options.query ?? '');
  const request =
    body instanceof GrowingBody
      ? sendRequest(address, { ...head, body: body.pieces })
      : sendWhole(address, head, body, options);
  // A request that still grows is answered early only where it fails.
  if (body instanceof GrowingBody) await Promise.race([body.whole, request]);
  const reached = Promise.race([connected.promise, request]);
  await within(reached, connectMs, url, control, `no connection for ${connectMs} ms`);
  const response = await within(request, firstMs, url, control);
  options.onHeaders?.(response.headers);
  if (!response.ok) {
    const failure = fromStatus(response, url, options.query);
    throw await within(failure, idleMs, url, control);
  }
  return response;
}

function sendWhole(
  url: string,
  { onConnected, ...head }: Omit<HttpRequest, 'body'> & { onConnected: () => void },
  body: unknown,
  options: HttpOptions,
): Promise<HttpAnswer> {
  const request = { ...head, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  if (!options.fetch) return sendRequest(url, { ...request, onConnected });
  onConnected();
  return options.fetch(url, request);
}

async function withRetries(
  url: string,
  options: HttpOptions,
  signal: AbortSignal,
  attempt: () => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  for (let n = 0; ; n++) {
    try {
      return await attempt();
    } catch (thrown) {
      const error = named(thrown, url, signal);
      const wait = error instanceof EndpointError ? retryWait(error, n, options) : null;
      if (wait === null) throw error;
      await sleep(wait, signal);
    }
  }
}

/** Milliseconds before the next attempt, or null for none. */
function retryWait(error: EndpointError, tried: number, options: HttpOptions): number | null {
  if (tried >= (options.retries ?? 2)) return null;
  const worth =
    ['rate-limit', 'server', 'refused', 'network', 'cut'].includes(error.kind) && error.status !== 501;
  if (!worth) return null;
  const wait = error.retryAfterMs ?? 200 * 2 ** tried;
  return wait <= (options.maxRetryWaitMs ?? 5_000) ? wait : null;
}

async function* readEvents(
  response: HttpAnswer,
  url: string,
  { firstMs, idleMs }: Patience,
  control: AbortController,
  form: 'events' | 'lines',
): AsyncGenerator<string, 'done' | 'eof'> {
  if (response.body === null) throw new EndpointError('malformed', `${url}: the answer has no body`);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let events: string[] = [];
  const parser =
    form === 'lines'
      ? lineParser((line) => events.push(line))
      : createParser({
          onEvent: ({ event, data }) => events.push(event === 'error' ? asError(data) : data),
          // llama.cpp's server: the error is a field of its own.
          onError: ({ field, value = '' }) => field === 'error' && events.push(asError(value)),
        });
  /** The answer so far where it is one JSON document; null where it is events; '' while neither is known. */
  let document: string | null = '';
  let begin: string | undefined;
  let patienceMs = firstMs;
  let unfinished = 0;
  let whole = false;
  try {
    for (;;) {
      const { value, done } = await within(reader.read(), patienceMs, url, control);
      patienceMs = idleMs;
      // Bytes of half a character at the very end are dropped with the half line they stand in.
      const text = value === undefined ? '' : decoder.decode(value, { stream: true });
      if (document !== null) {
        document += text;
        begin ??= text.trimStart()[0];
        if (begin === '<')
          throw new EndpointError(
            'malformed',
            `${url}: the answer is a web page, not an API's; is the address right?`,
          );
        if (begin === '{' && form === 'events') {
          // A server that ignored `stream: true` answers in one piece.
          if (document.length > MOST_UNFINISHED) throw tooLong(url);
          if (!done) continue;
          yield document;
          return 'done';
        }
        if (begin !== undefined) {
          parser.feed(document);
          document = null;
        }
      } else parser.feed(text);
      const ready = events;
      events = [];
      unfinished = ready.length > 0 ? 0 : unfinished + text.length;
      if (unfinished > MOST_UNFINISHED) throw tooLong(url);
      for (const data of ready) {
        if (data.trim() === '[DONE]') {
          whole = true;
          void readOut(reader, control);
          return 'done';
        }
        yield data;
      }
      if (!done) continue;
      // A last event that the server did not finish with a blank line counts where it is whole.
      parser.feed('\n\n');
      for (const data of events) {
        if (data.trim() === '[DONE]') return 'done';
        if (isJson(data)) yield data;
      }
      return 'eof';
    }
  } finally {
    if (!whole) reader.cancel().catch(() => undefined);
  }
}

/** How long an answer that is complete may take to end. */
const MOST_AFTER_DONE_MS = 1000;

/**
 * Reads what stands behind `[DONE]`: nothing, but a connection whose answer was not read to its end cannot be used again, and the
 * next request would begin with the round trips of a new one.
 */
async function readOut(reader: BodyReader, control: AbortController): Promise<void> {
  const timer = setTimeout(() => control.abort(), MOST_AFTER_DONE_MS);
  try {
    while (!(await reader.read()).done);
  } catch {
    // The answer is here already.
  } finally {
    clearTimeout(timer);
  }
}

/** What a server says in an event that is marked as an error, in the form that its other errors have. */
function asError(data: string): string {
  if (!isJson(data)) return JSON.stringify({ error: data });
  const said = JSON.parse(data) as { error?: unknown } | null;
  return JSON.stringify(said?.error === undefined ? { error: said ?? data } : said);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function lineParser(onLine: (line: string) => void): { feed(text: string): void } {
  let rest = '';
  return {
    feed: (text) => {
      // What was looked through before is not looked through again: a line may be as long as MOST_UNFINISHED.
      const [end = '', ...begun] = text.split('\n');
      rest += end;
      for (const next of begun) {
        if (rest.trim() !== '') onLine(rest);
        rest = next;
      }
    },
  };
}

/** Characters without a finished event (comments included) that are read before the stream counts as broken. */
const MOST_UNFINISHED = 8 * 2 ** 20;

function tooLong(url: string): EndpointError {
  return new EndpointError(
    'malformed',
    `${url}: ${MOST_UNFINISHED} characters came without a finished event`,
  );
}

/** Fails with 'silence' and stops the request when `work` takes longer than `ms`. */
async function within<T>(
  work: Promise<T>,
  ms: number,
  url: string,
  control: AbortController,
  what = `nothing arrived for ${ms} ms`,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new EndpointError('silence', `${url}: ${what}`));
      control.abort();
    }, timerMs(ms));
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function named(error: unknown, url: string, signal: AbortSignal): unknown {
  if (error instanceof EndpointError) return error;
  if (signal.aborted || isAbort(error)) return new DOMException('the request was cancelled', 'AbortError');
  return fromFetchFailure(error, url);
}

/** Resolves after `ms`; rejects with an AbortError as soon as the signal is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(new DOMException('cancelled', 'AbortError'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
