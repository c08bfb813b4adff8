// Requests as an attacker can write them, byte by byte: fetch and node:http would correct Host, Origin and the rest.
import net from 'node:net';

export interface RawReply {
  /** 0 where the server closed the connection without an answer. */
  status: number;
  text: string;
}

/** Sends `bytes` on one connection and reads until the server closes it or `waitMs` pass. */
export function sendRaw(port: number, bytes: string, waitMs = 5000): Promise<RawReply> {
  return converse(port, (socket) => void socket.write(bytes), waitMs);
}

/** Sends `bytes`, and then `drop` again and again, one a second, without ever coming to an end. */
export function sendSlowly(port: number, bytes: string, drop: string, waitMs: number): Promise<RawReply> {
  return converse(
    port,
    (socket) => {
      socket.write(bytes);
      const timer = setInterval(() => socket.write(drop), 1000);
      socket.once('close', () => clearInterval(timer));
    },
    waitMs,
  );
}

function converse(port: number, speak: (socket: net.Socket) => void, waitMs: number): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => speak(socket));
    let text = '';
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text });
    };
    const timer = setTimeout(done, waitMs);
    socket.on('data', (data) => (text += data.toString()));
    socket.on('end', done);
    // A server that refuses a flood may reset the connection: that is an answer too.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? done() : reject(error),
    );
  });
}

export interface RawRequest {
  method?: string;
  path?: string;
  headers?: Readonly<Record<string, string | undefined>>;
  body?: string;
}

/** One whole request; a header set to undefined is left out, `host` included. */
export function request(
  port: number,
  { method = 'POST', path = '/v1/completions', headers = {}, body }: RawRequest,
): Promise<RawReply> {
  const all: Record<string, string | undefined> = {
    host: `127.0.0.1:${port}`,
    connection: 'close',
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return sendRaw(port, `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body ?? ''}`);
}
