// The door: what a request must show before any work is done for it. Loopback is no protection by itself (any page can
// send requests there, and DNS rebinding makes them look same-origin), so Host and Origin are compared exactly with short
// lists and, unless the owner turned pairing off, a token is asked for.
import type { IncomingMessage } from 'node:http';
import type { Context, MiddlewareHandler, Next } from 'hono';
import { ApiError } from '../api-error.ts';
import type { Pairing } from './pairing.ts';
import { isNavigation } from '../page/serve-page.ts';
import { RateLimit } from './rate-limit.ts';

export interface DoorOptions {
  /** Exact Host headers, port included; asked at each request because port 0 is known late. */
  hosts(): ReadonlySet<string>;
  /** Exact origins of pages that may ask. */
  origins(): ReadonlySet<string>;
  /** null: no token is asked for. */
  pairing: Pairing | null;
}

export const BODY_LIMIT_BYTES = 4 * 1024 * 1024;

/** Answered without a token: they are how a page finds out that there is a bridge, and how it gets one. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/health', '/pair']);

export function door(options: DoorOptions): MiddlewareHandler {
  // Wrong tokens only; 256 bits cannot be guessed, but nobody honest is wrong this often.
  const wrongTokens = new RateLimit(30, 60_000);
  return async (c, next) => {
    checkHost(c, options);
    refuseSockets(c);
    // The page's own files are public; everything that computes or tells something is not.
    const api = c.req.path.startsWith('/v1/') || OPEN_PATHS.has(c.req.path);
    // A link to the page may be followed from anywhere. It is nothing that another page could read or frame.
    if (!api && isNavigation(c)) return enter(c, next);
    const origin = checkOrigin(c, options);
    if (origin !== null) allow(c, origin);
    if (c.req.method === 'OPTIONS') return preflight(c, origin);
    if (options.pairing && api && !OPEN_PATHS.has(c.req.path))
      checkToken(c, options.pairing, origin, wrongTokens);
    if (c.req.method === 'POST') checkBody(c);
    return enter(c, next);
  };
}

async function enter(c: Context, next: Next): Promise<void> {
  await next();
  c.header('x-content-type-options', 'nosniff');
  if (!c.res.headers.has('cross-origin-resource-policy'))
    c.header('cross-origin-resource-policy', 'cross-origin');
}

/** Only this defeats DNS rebinding: after it the browser believes that the page and the bridge are one origin. */
function checkHost(c: Context, options: DoorOptions): void {
  const host = incoming(c)?.headers.host ?? c.req.header('host');
  if (host === undefined || !options.hosts().has(host.toLowerCase()))
    throw new ApiError(421, 'this server answers only to its own address', { code: 'wrong_host' });
}

/** There is no WebSocket here. Browsers send no preflight for one, so it is refused before anything else looks at it. */
function refuseSockets(c: Context): void {
  if (/\bwebsocket\b/i.test(c.req.header('upgrade') ?? ''))
    throw new ApiError(400, 'this server has no WebSocket; use its HTTP API', { code: 'no_websocket' });
}

/** The origin of a page on the list, or null for a program that is no page. */
function checkOrigin(c: Context, options: DoorOptions): string | null {
  const origin = c.req.header('origin');
  if (origin !== undefined) {
    if (options.origins().has(origin)) return origin;
    throw new ApiError(403, 'this page is not on the bridge’s list; start it with --allow-origin', {
      code: 'wrong_origin',
    });
  }
  // Browsers leave Origin out of some requests, but say where they come from; programs send neither.
  const site = c.req.header('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    throw new ApiError(403, 'a page must send its origin', { code: 'wrong_origin' });
  return null;
}

function checkToken(c: Context, pairing: Pairing, origin: string | null, wrong: RateLimit): void {
  const header = c.req.header('authorization') ?? '';
  const token = /^Bearer ([\w-]{1,200})$/i.exec(header)?.[1];
  // A page that the bridge itself serves sends no Origin with GET.
  const own = origin ?? (c.req.header('sec-fetch-site') === 'same-origin' ? new URL(c.req.url).origin : null);
  if (token !== undefined && pairing.tokens.find(token, own)) return;
  if (token !== undefined && !wrong.take())
    throw new ApiError(429, 'too many wrong tokens', {
      code: 'token_rate',
      headers: { 'retry-after': String(wrong.retryAfter) },
    });
  throw new ApiError(
    401,
    token === undefined ? 'a token is needed; pair first (POST /pair)' : 'this token is not valid here',
    {
      code: 'invalid_token',
      headers: { 'www-authenticate': 'Bearer' },
    },
  );
}

/** JSON only: a content type that a form or a simple request can have is refused, so that a preflight is always needed. */
function checkBody(c: Context): void {
  const type = c.req.header('content-type') ?? '';
  if (!/^application\/json\s*(;\s*charset=("?)utf-8\2\s*)?$/i.test(type))
    throw new ApiError(415, 'the body must be application/json', { code: 'content_type' });
  const length = Number(c.req.header('content-length') ?? 0);
  if (length > BODY_LIMIT_BYTES) throw tooLarge();
}

export function tooLarge(): ApiError {
  return new ApiError(413, `the body is larger than ${BODY_LIMIT_BYTES} bytes`, { code: 'body_size' });
}

function allow(c: Context, origin: string): void {
  c.header('access-control-allow-origin', origin);
  c.header('vary', 'Origin');
  c.header('access-control-expose-headers', 'retry-after, x-request-id');
}

/** What OpenAI's client sends from a page, beside x-stainless-*; user-agent where the browser lets it. */
const ALLOWED_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'content-type',
  'openai-organization',
  'openai-project',
  'user-agent',
]);

function preflight(c: Context, origin: string | null): Response {
  if (origin === null) throw new ApiError(403, 'a preflight without an origin', { code: 'wrong_origin' });
  c.header('access-control-allow-methods', 'GET, POST');
  const asked = (c.req.header('access-control-request-headers') ?? '')
    .split(',')
    .map((h) => h.trim().toLowerCase());
  const fine = asked.filter((h) => ALLOWED_HEADERS.has(h) || /^x-stainless-[a-z-]+$/.test(h));
  c.header('access-control-allow-headers', fine.join(', '));
  c.header('access-control-max-age', '600');
  // Replaced by a permission prompt (Chrome 142), still asked by older ones.
  if (c.req.header('access-control-request-private-network') === 'true')
    c.header('access-control-allow-private-network', 'true');
  return c.body(null, 204);
}

/** Node's own view of the request, where there is one. */
function incoming(c: Context): IncomingMessage | undefined {
  return (c.env as { incoming?: IncomingMessage } | undefined)?.incoming;
}
