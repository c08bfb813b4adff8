// A host in front of another one that keeps some files back until it is told to let go. Not Playwright's routes: a worker's first request
// can be on its way before they are in place for it.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';

export interface HeldHost {
  origin: string;
  /** Requests that are kept back, or were. */
  held(): number;
  /** Answers them, and those that come from now on. */
  letGo(): void;
  close(): Promise<void>;
}

/** Serves what `origin` does, to pages of any origin; requests whose path matches `kept` wait. */
export async function heldHost(origin: string, kept: RegExp): Promise<HeldHost> {
  const gone = Promise.withResolvers<void>();
  let held = 0;
  const server = http.createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const { method = 'GET', url = '/' } = request;
      if (kept.test(url)) {
        held++;
        await gone.promise;
      }
      const { range } = request.headers;
      const reply = await fetch(`${origin}${url}`, { method, headers: range ? { range } : {} });
      const passed = ['content-type', 'content-range', 'content-length', 'accept-ranges', 'etag'];
      response.writeHead(reply.status, {
        ...Object.fromEntries(
          passed.flatMap((name) => (reply.headers.has(name) ? [[name, reply.headers.get(name)!]] : [])),
        ),
        'access-control-allow-origin': '*',
        'access-control-expose-headers': '*',
      });
      if (reply.body) Readable.fromWeb(reply.body as Parameters<typeof Readable.fromWeb>[0]).pipe(response);
      else response.end();
    };
    answer().catch(() => response.destroy());
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: () => held,
    letGo: () => gone.resolve(),
    close: async () => {
      gone.resolve();
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}
