// Starts the bridge: opens the model (or the relay), listens, and takes everything down again in order.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import { serve } from '@hono/node-server';
import { createApp } from './app.ts';
import { isLoopback, ownHosts } from './door/own-hosts.ts';
import { Pairing } from './door/pairing.ts';
import { TokenStore } from './door/token-store.ts';
import { invitationFile, pairedFile } from './folders.ts';
import { openEngine, type EngineOptions } from './engine/open-engine.ts';
import { RequestQueue } from './engine/queue.ts';
import { lineLog, type Log } from './log.ts';

export interface BridgeOptions extends EngineOptions {
  /** Loopback address. Another one is refused unless `anyAddress`. Default 127.0.0.1. */
  host?: string;
  /** 0 takes a free port. Default 8787. */
  port?: number;
  /** Pages that may use the bridge, as exact origins. */
  allowOrigins?: readonly string[];
  /** Ask every client for a token. Default true. */
  pairing?: boolean;
  anyAddress?: boolean;
  /** Requests that run at once (bounded by the memory limit as well), and that wait. Defaults 4 and 64. */
  parallel?: number;
  queueLimit?: number;
  log?: Log;
  /** Folder of the built page to serve; null for none, which is the default. */
  app?: string | null;
  /** Shows a pairing code to the owner; absent where nobody watches. */
  onCode?: ((code: string, url: string) => void) | undefined;
  /** Where paired clients are kept. */
  pairedFile?: string;
}

export interface Bridge {
  url: string;
  port: number;
  model: string;
  location: string;
  pairing: Pairing | null;
  /** Stops listening, ends running requests, closes the model. Safe to call twice. */
  close(): Promise<void>;
}

/** Throws with one line when the address is taken or refused, or the model cannot be opened; nothing stays open then. */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { port = 8787, log = lineLog((line) => console.error(line)) } = options;
  const host = (options.host ?? '127.0.0.1').toLowerCase();
  if (!isLoopback(host) && !options.anyAddress)
    throw new Error(
      `--host ${host} would open the bridge to other machines; use 127.0.0.1, or add --dangerously-listen-on-any-address`,
    );
  const origins = (options.allowOrigins ?? []).map(exactOrigin);
  const engine = await openEngine(options);
  const shutdown = new AbortController();
  const queue = new RequestQueue({
    parallel: Math.max(1, Math.min(options.parallel ?? 4, engine.room)),
    limit: options.queueLimit ?? 64,
  });
  let bound = { port, url: '' };
  const { onCode } = options;
  const pairing =
    options.pairing === false
      ? null
      : new Pairing(new TokenStore(options.pairedFile ?? pairedFile()), {
          invitation: invitationFile(),
          announce: onCode && ((code) => onCode(code, bound.url)),
        });
  const app = createApp({
    engine,
    queue,
    log,
    shutdown: shutdown.signal,
    withinMs: SERVER_LIMITS.requestTimeout,
    page: options.app ?? null,
    door: {
      hosts: () => ownHosts(host, bound.port),
      origins: () => new Set([...origins, ...[...ownHosts(host, bound.port)].map((h) => `http://${h}`)]),
      pairing,
    },
  });
  let server: Server;
  try {
    server = await listen(app.fetch, host, port);
  } catch (error) {
    await engine.close();
    throw error;
  }
  const actual = (server.address() as AddressInfo).port;
  bound = { port: actual, url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}` };
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    shutdown.abort();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    // Running requests end at their next token; a client that does not read must not hold the door open.
    const late = setTimeout(() => server.closeAllConnections(), 2000);
    await closed;
    clearTimeout(late);
    await engine.close();
  };
  return {
    ...bound,
    model: engine.info.id,
    location: engine.info.location,
    pairing,
    close: () => (closing ??= close()),
  };
}

/** Limits against slow and oversized senders: 16 KiB of headers within 10 s, the whole request within 30 s. */
const SERVER_LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2_000,
  // Longer than the five seconds after which several clients drop an idle connection themselves: who closes first loses
  // no request.
  keepAliveTimeout: 15_000,
};

function listen(fetch: (request: Request) => unknown, hostname: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = serve(
      { fetch, hostname, port, createServer, serverOptions: SERVER_LIMITS, overrideGlobalObjects: false },
      () => resolve(server),
    ) as Server;
    server.maxHeadersCount = 64;
    server.maxConnections = 256;
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(
          new Error(`port ${port} on ${hostname} is taken; choose another with --port, or --port 0 for any`),
        );
      else reject(error);
    });
  });
}

/** "http://127.0.0.1:5173/" as the browser will write it in Origin. Throws for what is no web origin. */
function exactOrigin(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new Error(`--allow-origin ${text}: give an exact origin such as http://127.0.0.1:5173`, { cause });
  }
  if ((url.protocol !== 'http:' && url.protocol !== 'https:') || url.pathname !== '/' || url.search !== '')
    throw new Error(
      `--allow-origin ${text}: give an exact origin such as http://127.0.0.1:5173, without a path`,
    );
  return url.origin;
}
