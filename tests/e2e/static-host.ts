// A static host that knows nothing: the built page in some folder of it, with no header but the content type.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

export interface StaticHost {
  origin: string;
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
export async function staticHost(folder: string): Promise<StaticHost> {
  const server = http.createServer((request, response) => {
    const name =
      new URL(request.url ?? '/', 'http://x').pathname.replace('/some/folder/', '') || 'index.html';
    readFile(path.join(folder, name)).then(
      (bytes) => {
        response.writeHead(200, { 'content-type': TYPES[path.extname(name)] ?? 'application/octet-stream' });
        response.end(request.method === 'HEAD' ? undefined : bytes);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}
