// Turns what fetch throws and what servers answer into EndpointErrors with one clear line: which endpoint, what
// happened, what to do.

import { EndpointError } from '../split-error.ts';
import type { EndpointErrorKind } from '../split-error.ts';
import { bodyText } from './body-text.ts';
import type { HttpAnswer } from './node-request.ts';
import { inOneLine } from './wire.ts';

/** Node's fetch hides the reason in `cause`; browsers give none (the page may not see why a request failed). */
export function fromFetchFailure(error: unknown, url: string): EndpointError {
  const code = causeCode(error);
  const [kind, what] = describe(code);
  const hint = code === null ? '' : ` (${code})`;
  return new EndpointError(kind, `${url}: ${what}${hint}`, { cause: error });
}

function causeCode(error: unknown): string | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string') return code;
    if (at instanceof AggregateError && at.errors[0] instanceof Error) {
      const first = (at.errors[0] as { code?: unknown }).code;
      if (typeof first === 'string') return first;
    }
  }
  return null;
}

function describe(code: string | null): [EndpointErrorKind, string] {
  if (code === 'ECONNREFUSED') return ['refused', 'connection refused; is the server running?'];
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return ['dns', 'host name not found; check the address and the network'];
  if (code !== null && /CERT|SSL|TLS|EPROTO|SIGN|ISSUER|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)/.test(code))
    return ['tls', 'TLS failed; check the certificate, or whether the port speaks https at all'];
  if (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET' || code === 'EPIPE')
    return ['cut', 'the connection was closed by the server'];
  if (code !== null && /TIMEOUT|ETIMEDOUT/.test(code)) return ['silence', 'no answer in time'];
  return ['network', 'the request failed; is the server running, and does it allow this origin?'];
}

/** Of an answer's message so much is read. */
const MOST_MESSAGE_BYTES = 4096;

/** An EndpointError for a status outside 200-299, with what the server says, less the `query` of its address. */
export async function fromStatus(response: HttpAnswer, url: string, query = ''): Promise<EndpointError> {
  const { status } = response;
  const said = await errorMessage(response, query);
  const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), Date.now());
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  const line = (what: string): string => `${url}: ${what} (HTTP ${status})${said === '' ? '' : `: ${said}`}`;
  if (status === 401 || status === 403)
    return new EndpointError('auth', line('not allowed; check the API key'), { status });
  if (status === 429) return new EndpointError('rate-limit', line('too many requests'), { status, ...wait });
  if (status >= 500) return new EndpointError('server', line('the server failed'), { status, ...wait });
  return new EndpointError('bad-request', line('the server refused the request'), { status });
}

async function errorMessage(response: HttpAnswer, query: string): Promise<string> {
  let text = '';
  try {
    ({ text } = await bodyText(response, MOST_MESSAGE_BYTES));
  } catch {
    return '';
  }
  try {
    const json = JSON.parse(text) as { error?: { message?: unknown } | string; message?: unknown };
    const message = typeof json.error === 'object' ? json.error.message : (json.error ?? json.message);
    if (typeof message === 'string') text = message;
  } catch {
    // Not JSON: the text itself is the message.
  }
  // "Cannot POST /v1/completions?key=..." is how servers say that they have no such address.
  if (query !== '') text = text.replaceAll(query, '');
  return inOneLine(text);
}

/** Retry-After in milliseconds: seconds or an HTTP date (RFC 9110, 10.2.3). */
export function parseRetryAfter(value: string | null, now: number): number | undefined {
  if (value === null || value.trim() === '') return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
