// Serves the built page from one folder, from a list of its files made at the start: a request can only name one of
// them, so there is no path to trick. The headers isolate the page (shared memory needs that) and keep it from being
// framed; baton-config.json tells it that the bridge is where it came from.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Context, Hono } from 'hono';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.woff': 'font/woff',
  '.ttf': 'font/ttf',
};

const CONFIG = 'baton-config.json';

/** What a page cannot say of itself; the rest of its policy is in its own head (apps/web/build/content-policy.ts). */
const POLICY = "frame-ancestors 'none'; form-action 'self'";

/** Adds GET routes for every file of `folder`, `/` for its index.html. Files added later are not served. */
export function servePage(app: Hono, folder: string): void {
  const files = new Set(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll('\\', '/')),
  );
  app.get('*', async (c, next) => {
    const name = c.req.path === '/' ? 'index.html' : decoded(c.req.path.slice(1));
    if (name === CONFIG) {
      return c.json(
        { bridge: { url: new URL(c.req.url).origin } },
        200,
        headers('application/json', 'no-store'),
      );
    }
    if (!files.has(name)) return next();
    // Names in assets/ hold a hash of their content.
    const caching = name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache';
    const bytes = await readFile(path.join(folder, name));
    const tag = `"${hashOf(bytes)}"`;
    const all = { ...headers(TYPES[path.extname(name)] ?? 'application/octet-stream', caching), etag: tag };
    if (c.req.header('if-none-match') === tag) return c.body(null, 304, all);
    const part = rangeOf(c.req.header('range'), bytes.length);
    if (part === null) return c.body(plain(bytes), 200, { ...all, 'accept-ranges': 'bytes' });
    const [from, to] = part;
    const range = `bytes ${from}-${to}/${bytes.length}`;
    return c.body(plain(bytes.subarray(from, to + 1)), 206, { ...all, 'content-range': range });
  });
}

/** Any other answer to a navigation is for a person, not for a program. */
export function isNavigation(c: Context): boolean {
  return (
    c.req.method === 'GET' &&
    c.req.header('sec-fetch-mode') === 'navigate' &&
    c.req.header('sec-fetch-dest') === 'document'
  );
}

function headers(type: string, caching: string): Record<string, string> {
  return {
    'content-type': type,
    'cache-control': caching,
    'content-security-policy': POLICY,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  };
}

/** First and last byte of a single range (RFC 9110, 14.1.2); null for anything else, which gets the whole file. */
function rangeOf(header: string | undefined, size: number): [number, number] | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return null;
  const from = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const to = match[1] === '' || match[2] === '' ? size - 1 : Math.min(size - 1, Number(match[2]));
  return from <= to ? [from, to] : null;
}

function plain(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url').slice(0, 22);
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return '';
  }
}
