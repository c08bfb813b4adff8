// Finds out what an endpoint can do by asking it: raw completion first, then each way of continuing a chat turn. Costs a
// handful of one-token requests.

import { EndpointError, isAbort, messageOf } from '../split-error.ts';
import { requestJson } from './event-stream.ts';
import { apiBase, firstModelId, headersOf } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';
import { messagesFor } from './chat-continuation.ts';
import type { Dialect } from './chat-continuation.ts';
import { parseEvent } from './wire.ts';

export interface EndpointProbe {
  model: string;
  /** The best way to continue a thought, or null where not even a chat turn works. */
  continuation: 'raw' | Dialect | null;
  logprobs: boolean;
  /** Log-probabilities of the prompt's own tokens (echo). */
  promptLogprobs: boolean;
  reportsCachedTokens: boolean;
  /** Time of a one-token request, in milliseconds. */
  latencyMs: number;
  /** One line per thing that was tried and did not work. */
  remarks: string[];
}

/** A text whose next word leaves no doubt: a server that continues it says "Friday"; one that starts anew does not. */
const TURN = {
  question: 'Write the days of the working week in order, separated by commas.',
  partial: 'Monday, Tuesday, Wednesday, Thursday,',
  prompt: '',
  answer: '',
};
const CONTINUED = /^\s*Friday/i;

/** Throws EndpointError when the endpoint cannot be reached at all or refuses the key. */
export async function probeEndpoint(options: EndpointOptions, signal?: AbortSignal): Promise<EndpointProbe> {
  const model = options.model ?? (await firstModelId(options, signal));
  const http = headersOf(options);
  const base = apiBase(options.url);
  const probe: EndpointProbe = {
    model,
    continuation: null,
    logprobs: false,
    promptLogprobs: false,
    reportsCachedTokens: false,
    latencyMs: Number.NaN,
    remarks: [],
  };
  const ask = async (
    path: string,
    body: Record<string, unknown>,
  ): Promise<ReturnType<typeof parseEvent> | null> => {
    const started = performance.now();
    try {
      const json = await requestJson(`${base}/${path}`, 'POST', { ...body, model }, http, signal);
      const event = parseEvent(JSON.stringify(json), `${base}/${path}`);
      probe.latencyMs = performance.now() - started;
      return event;
    } catch (error) {
      if (isAbort(error) || (error instanceof EndpointError && LOST.has(error.kind))) throw error;
      probe.remarks.push(`${path}: ${messageOf(error)}`);
      return null;
    }
  };
  const raw = { prompt: TURN.partial, max_tokens: 1, temperature: 0 };
  const withLogprobs = await ask('completions', { ...raw, logprobs: 1 });
  const plain = withLogprobs ?? (await ask('completions', raw));
  if (plain) {
    probe.continuation = 'raw';
    probe.logprobs = (withLogprobs?.logprobs?.length ?? 0) > 0;
    probe.reportsCachedTokens = plain.usage?.cachedTokens !== undefined;
    const echo = probe.logprobs ? await ask('completions', { ...raw, echo: true, logprobs: 1 }) : null;
    probe.promptLogprobs = (echo?.logprobs?.length ?? 0) > 1;
    return probe;
  }
  for (const dialect of ['continue', 'prefix', 'trailing'] as const) {
    const event = await ask('chat/completions', {
      ...messagesFor(TURN, dialect),
      max_tokens: 12,
      temperature: 0,
    });
    if (!event) continue;
    probe.reportsCachedTokens = event.usage?.cachedTokens !== undefined;
    const text = event.text.startsWith(TURN.partial) ? event.text.slice(TURN.partial.length) : event.text;
    if (CONTINUED.test(text)) {
      probe.continuation = dialect;
      return probe;
    }
    probe.remarks.push(`chat/completions: the "${dialect}" form was accepted but the turn was not continued`);
    probe.continuation = 'phrase';
  }
  return probe;
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
