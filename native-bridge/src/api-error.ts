// What a client is told when a request cannot be served, in OpenAI's error shape, so that its official clients raise
// their own error classes. Messages never hold prompts, paths or tokens.
import { RuntimeError } from '@baton/runtime';
import { EndpointError, SplitError } from '@baton/split';

export interface ApiErrorDetails {
  /** The field at fault. */
  param?: string;
  code?: string;
  headers?: Readonly<Record<string, string>>;
  /** Of a relay run that failed: what was written until then, and by whom. */
  trace?: object;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly details: ApiErrorDetails;

  constructor(status: number, message: string, details: ApiErrorDetails = {}) {
    super(message);
    this.status = status;
    this.details = details;
  }

  /** The response body: `{error: {message, type, param, code}}` as in OpenAI's API reference, and the trace of a failed relay run. */
  body(): object {
    const { param = null, code = null, trace } = this.details;
    const error = { message: this.message, type: typeOf(this.status), param, code };
    return trace ? { error, trace } : { error };
  }
}

/** Of a limit that a large endpoint told: clients wait as long as it asks for, and then ask again by themselves. */
export function rateLimit(retryAfterMs: number | undefined): ApiErrorDetails {
  const code = 'rate_limit_exceeded';
  if (retryAfterMs === undefined) return { code };
  return { code, headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) } };
}

/** Anything thrown, as an ApiError; what is not the client's business becomes a plain 500. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof RuntimeError) {
    if (error.code === 'context-full') {
      // What follows the numbers is advice to whoever opens the model.
      const [numbers] = error.message.split('; ');
      return new ApiError(400, `${numbers}; shorten the text`, { code: 'context_length_exceeded' });
    }
    if (error.code === 'bad-input') return new ApiError(400, error.message);
    if (error.code === 'closed' || error.code === 'target-unavailable')
      return new ApiError(503, error.message, { code: 'model_unavailable' });
  }
  if (error instanceof EndpointError && error.kind === 'rate-limit')
    return new ApiError(429, error.message, rateLimit(error.retryAfterMs));
  if (error instanceof SplitError && error.code === 'bad-input') return new ApiError(400, error.message);
  return new ApiError(500, 'the server failed on this request; its log says why', { code: 'internal' });
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403 || status === 421) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
