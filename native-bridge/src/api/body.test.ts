// Bodies that are too large or never end, over real connections.
import { once } from 'node:events';
import http from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Log } from '../log.ts';
import { startBridge, type Bridge } from '../start.ts';
import { BODY_LIMIT_BYTES } from '../door/door.ts';

let bridge: Bridge;
const errors: unknown[] = [];
const answered: number[] = [];
const log: Log = {
  info: () => undefined,
  error: (error) => errors.push(error),
  request: (_method, _route, status) => answered.push(status),
};
beforeAll(async () => {
  bridge = await startBridge({ model: 'demo-small', target: 'ort-cpu', port: 0, pairing: false, log });
});
afterAll(async () => {
  await bridge?.close();
});

/** A request whose length is not told. */
const begin = (route: string): http.ClientRequest =>
  http.request(`${bridge.url}${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: new http.Agent({ keepAlive: true }),
  });

test.each(['/v1/completions', '/v1/chat/completions'])(
  'one over the limit is told that its connection ends: %s',
  async (route) => {
    const request = begin(route);
    // What is left of it when the answer comes is refused by a closed connection.
    request.on('error', () => undefined);
    request.write(Buffer.alloc(BODY_LIMIT_BYTES + 1, ' '));
    const [reply] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(reply.statusCode).toBe(413);
    expect(reply.headers.connection).toBe('close');
    request.destroy();
  },
);

test.each(['/v1/completions', '/v1/chat/completions'])(
  'one that breaks off is no failure of the server: %s',
  async (route) => {
    answered.length = 0;
    const request = begin(route);
    request.on('error', () => undefined);
    await new Promise((resolve) => request.write('{"prompt"', resolve));
    request.destroy();
    await expect.poll(() => answered.length).toBe(1);
    expect(errors).toEqual([]);
  },
);
