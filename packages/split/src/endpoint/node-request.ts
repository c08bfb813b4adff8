// HTTP requests from Node, leaner than its fetch: on the loopback interface the first byte of an answer comes a millisecond
// sooner, and stopping an answer takes a tenth of a millisecond instead of a third. A connection that nobody uses yet
// is kept ready for each server: a hand-off that is sent while another request is under way would otherwise begin with the round
// trips of a new connection (one for TCP, more for TLS). A compressed answer, which some proxies send unasked, is unpacked as fetch does
// it. Where there is no Node, or its fetch is asked to do more, fetch is used.

import type { Agent, AgentOptions, ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/** What is used of a Response. */
export interface HttpAnswer {
  ok: boolean;
  status: number;
  headers: { get(name: string): string | null };
  body: { getReader(): BodyReader } | null;
}

export interface BodyReader {
  read(): Promise<{ value?: Uint8Array | undefined; done: boolean }>;
  cancel(): Promise<void>;
}

export interface HttpRequest {
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  /** Pieces are sent as they come, which only Node's own HTTP can (`sendsPieces`). */
  body?: string | AsyncIterable<string>;
  signal: AbortSignal;
  /** Called when there is a connection; before anything is sent where that cannot be seen (fetch). */
  onConnected?: () => void;
}

export type Request = (url: string, request: HttpRequest) => Promise<HttpAnswer>;

/** The way to send requests here. */
export const sendRequest: Request = (url, request) => {
  const own = nodeModules && !viaProxy() ? fromNode(nodeModules, url, request) : null;
  return own ?? viaFetch(url, request);
};

/** Whether a body can be sent piece by piece from here. Browsers can over HTTP/2 only. */
export const sendsPieces = (): boolean => nodeModules !== null && !viaProxy();

function viaFetch(url: string, { body, onConnected, ...request }: HttpRequest): Promise<HttpAnswer> {
  onConnected?.();
  if (body === undefined) return fetch(url, request);
  if (typeof body === 'string') return fetch(url, { ...request, body });
  throw new TypeError('a body that comes in pieces is sent by Node only');
}

type Http = typeof import('node:http');
type Https = typeof import('node:https');
type Zlib = typeof import('node:zlib');
interface NodeModules {
  http: Http;
  https: Https;
  zlib: Zlib;
  stream: typeof import('node:stream');
}

const nodeModules = ((): NodeModules | null => {
  const builtin = globalThis.process?.getBuiltinModule;
  const http = builtin?.('node:http');
  const https = builtin?.('node:https');
  const zlib = builtin?.('node:zlib');
  const stream = builtin?.('node:stream');
  return http?.Agent && https?.Agent && zlib && stream ? { http, https, zlib, stream } : null;
})();

/** Node's fetch then goes through the proxy of the environment. */
function viaProxy(): boolean {
  return (globalThis.process?.env.NODE_USE_ENV_PROXY ?? '') !== '';
}

type AgentClass = new (options: AgentOptions) => Agent;

/** Connections that were opened before there was a request for them. */
const openedAhead = new WeakSet<object>();

/** An agent that has a connection of its own ready beside those in use. */
function withSpare(Base: AgentClass): Agent {
  class SpareAgent extends Base {
    readonly #spares = new Map<string, { socket: Socket; drop: () => void }>();

    override createConnection(
      options: Parameters<Agent['createConnection']>[0],
      made?: Parameters<Agent['createConnection']>[1],
    ): ReturnType<Agent['createConnection']> {
      const name = this.getName(options as Parameters<Agent['getName']>[0]);
      const spare = this.#spares.get(name);
      this.#spares.delete(name);
      setImmediate(() => this.#prepare(name, () => super.createConnection(options)));
      if (!spare) return super.createConnection(options, made);
      const { socket, drop } = spare;
      // Servers give up connections on which nothing is asked after a while, some with a "408 Request Timeout" that would
      // be taken for the answer.
      if (socket.readableLength > 0 || socket.readableEnded || !socket.writable) {
        socket.destroy();
        return super.createConnection(options, made);
      }
      return socket.off('close', drop).off('error', drop).ref();
    }

    #prepare(name: string, open: () => ReturnType<Agent['createConnection']>): void {
      if (this.#spares.has(name)) return;
      const socket = open() as Socket;
      const drop = (): void => {
        if (this.#spares.get(name)?.socket === socket) this.#spares.delete(name);
      };
      this.#spares.set(name, { socket, drop });
      openedAhead.add(socket);
      socket.unref();
      // A server that closes idle connections closes this one too; the next request opens another.
      socket.once('close', drop);
      socket.once('error', drop);
    }
  }
  return new SpareAgent({ keepAlive: true });
}

let agents: { http: Agent; https: Agent } | null = null;

async function fromNode(modules: NodeModules, url: string, request: HttpRequest): Promise<HttpAnswer> {
  const { http, https } = modules;
  const secure = url.startsWith('https:');
  agents ??= { http: withSpare(http.Agent), https: withSpare(https.Agent) };
  const { method, headers, body, signal, onConnected } = request;
  signal.throwIfAborted();
  const length = typeof body === 'string' ? { 'content-length': String(Buffer.byteLength(body)) } : {};
  const options = { method, headers: { ...headers, ...length } };
  const open = (): ClientRequest => {
    const opened = secure
      ? https.request(url, { ...options, agent: agents!.https })
      : http.request(url, { ...options, agent: agents!.http });
    if (onConnected) opened.once('socket', (socket) => whenConnected(socket, secure, onConnected));
    return opened;
  };
  const answer = await answerOf(open, body, signal);
  // Where an address has moved to is fetch's to follow.
  if ([301, 302, 303, 307, 308].includes(answer.statusCode ?? 0)) {
    answer.resume();
    return viaFetch(url, request);
  }
  return new NodeAnswer(answer, unpacked(answer, modules));
}

function whenConnected(socket: Socket, secure: boolean, then: () => void): void {
  // One that waited, or was opened ahead, may be there already.
  const known = secure ? (socket as TLSSocket).getCipher()?.name !== undefined : !socket.connecting;
  if (known) then();
  else socket.once(secure ? 'secureConnect' : 'connect', then);
}

/** The body as it was before the server, or a proxy in front of it, compressed it. */
function unpacked(answer: IncomingMessage, { zlib, stream }: NodeModules): Readable {
  const unpack = unpackerOf(answer.headers['content-encoding']?.trim().toLowerCase(), zlib);
  // What ends one of the two ends the other; the reader is told by the one that it reads.
  return unpack ? stream.pipeline(answer, unpack, () => undefined) : answer;
}

function unpackerOf(encoding: string | undefined, zlib: Zlib): Duplex | null {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return zlib.createGunzip();
    case 'deflate':
      return zlib.createInflate();
    case 'br':
      return zlib.createBrotliDecompress();
    default:
      return null;
  }
}

/** Connections that may turn out closed before a new one is opened: the one kept, and the one opened ahead. */
const MOST_CLOSED = 2;

/** Resolves with the answer's head. A connection that waited here and that the server has closed meanwhile is replaced. */
function answerOf(
  open: () => ClientRequest,
  body: HttpRequest['body'],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let closed = 0;
    const begin = (): void => {
      const request = open();
      const stop = (): void => {
        reject(signal.reason as Error);
        request.destroy();
      };
      signal.addEventListener('abort', stop, { once: true });
      request.once('response', (answer) => {
        signal.removeEventListener('abort', stop);
        const cut = (): void => void answer.destroy(signal.reason as Error);
        signal.addEventListener('abort', cut, { once: true });
        answer.once('close', () => signal.removeEventListener('abort', cut));
        resolve(answer);
      });
      request.on('error', (error: Error & { code?: string }) => {
        signal.removeEventListener('abort', stop);
        const waited = request.reusedSocket || (request.socket !== null && openedAhead.has(request.socket));
        const gone = error.code === 'ECONNRESET' || error.code === 'EPIPE';
        const whole = body === undefined || typeof body === 'string';
        if (whole && waited && gone && !signal.aborted && closed++ < MOST_CLOSED) begin();
        else reject(error);
      });
      if (body === undefined || typeof body === 'string') request.end(body);
      else void sendPieces(request, body);
    };
    begin();
  });
}

async function sendPieces(request: ClientRequest, pieces: AsyncIterable<string>): Promise<void> {
  for await (const piece of pieces) {
    if (request.destroyed) return;
    request.write(piece);
  }
  request.end();
}

/** So much of an answer is taken from its connection ahead of the reader: what Node reads from a socket at once. */
const MOST_WAITING_BYTES = 64 * 2 ** 10;

class NodeAnswer implements HttpAnswer {
  readonly status: number;
  readonly body = { getReader: (): BodyReader => this.#reader() };
  readonly #message: IncomingMessage;
  readonly #content: Readable;

  constructor(message: IncomingMessage, content: Readable) {
    this.#message = message;
    this.#content = content;
    this.status = message.statusCode ?? 0;
    // A reader that has not come yet must not make an error nobody's.
    content.on('error', () => undefined);
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  get headers(): HttpAnswer['headers'] {
    return {
      get: (name) => {
        const value = this.#message.headers[name.toLowerCase()];
        return value === undefined ? null : String(value);
      },
    };
  }

  /** What has come is kept for the next read; a server that is faster than the reader has to wait. */
  #reader(): BodyReader {
    const content = this.#content;
    const ready: Uint8Array[] = [];
    let waiting = 0;
    let failure: Error | null = content.errored;
    let ended = content.readableEnded;
    let wake: (() => void) | null = null;
    const tell = (): void => wake?.();
    content.on('data', (piece: Uint8Array) => {
      ready.push(piece);
      waiting += piece.length;
      if (waiting >= MOST_WAITING_BYTES) content.pause();
      tell();
    });
    content.once('end', () => {
      ended = true;
      tell();
    });
    content.once('error', (error) => {
      failure = error;
      tell();
    });
    return {
      async read() {
        for (;;) {
          const value = ready.shift();
          if (value) {
            waiting -= value.length;
            if (waiting < MOST_WAITING_BYTES) content.resume();
            return { value, done: false };
          }
          if (failure) throw failure;
          if (ended) return { done: true };
          await new Promise<void>((resolve) => (wake = resolve));
          wake = null;
        }
      },
      async cancel() {
        content.destroy();
      },
    };
  }
}
