// A static host that knows nothing: the built page in some folder of it, with no header but the content type, unless a test asks
// for more.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

export interface StaticHost {
  origin: string;
  /** What it serves; another one is what a new publication is. */
  folder: string;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

/** `folder` under /some/folder/, as a plain host serves it. */
export async function staticHost(
  folder: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<StaticHost> {
  const server = http.createServer((request, response) => {
    const name =
      new URL(request.url ?? '/', 'http://x').pathname.replace('/some/folder/', '') || 'index.html';
    readFile(path.join(host.folder, name)).then(
      (bytes) => {
        const type = TYPES[path.extname(name)] ?? 'application/octet-stream';
        response.writeHead(200, { 'content-type': type, ...headers });
        response.end(request.method === 'HEAD' ? undefined : bytes);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const host: StaticHost = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    folder,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
  return host;
}
