// The errors of the relay. A SplitError is a caller's mistake and is thrown before any model runs; an EndpointError is a
// large endpoint's failure, which the relay survives (the small model carries on) and the trace records.

export type SplitErrorCode =
  | 'bad-input' // an option out of range, an unknown policy
  | 'unsuitable-model' // a model lacks what the policy needs
  | 'large-missing'; // the policy needs a large model and none was given

export class SplitError extends Error {
  override readonly name = 'SplitError';
  readonly code: SplitErrorCode;
  constructor(code: SplitErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export type EndpointErrorKind =
  | 'refused' // nothing listens there
  | 'dns' // the host name does not resolve
  | 'tls' // the certificate or the handshake failed
  | 'auth' // 401, 403
  | 'rate-limit' // 429
  | 'bad-request' // any other 4xx
  | 'server' // 5xx, or an error event inside the stream
  | 'malformed' // the answer is not what the API promises
  | 'silence' // nothing arrived for too long
  | 'cut' // the stream ended in the middle
  | 'network'; // anything else below HTTP

export class EndpointError extends Error {
  override readonly name = 'EndpointError';
  readonly kind: EndpointErrorKind;
  readonly status?: number;
  /** What the server asked us to wait, in milliseconds. */
  readonly retryAfterMs?: number;
  constructor(
    kind: EndpointErrorKind,
    message: string,
    details: { status?: number; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.kind = kind;
    if (details.status !== undefined) this.status = details.status;
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
  }
}

export { isAbort } from '@baton/runtime/errors';

/** The first line of anything thrown. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}
