// A server that never ends what it says: it is read as far as an answer can reasonably go, and not a byte faster than it is used.

import type { ServerResponse } from 'node:http';

import { expect, it, vi } from 'vitest';

import { server } from '../../test/cleanups.ts';
import { event } from '../../test/fault-server.ts';
import type { Script } from '../../test/fault-server.ts';
import { postEvents, requestJson } from './index.ts';

// Reading what is too long must not take ever longer either.
vi.setConfig({ testTimeout: 20_000 });

const PIECE = 'x'.repeat(2 ** 16);

/** Writes `piece` again and again, as fast as the reader takes it; tells how many bytes it has got rid of. */
function flood(
  response: ServerResponse,
  piece: string,
  told: (bytes: number) => void = () => undefined,
): void {
  let bytes = 0;
  const more = (): void => {
    do bytes += piece.length;
    while (response.write(piece));
    told(bytes);
    response.once('drain', more);
  };
  more();
}

const endless =
  (code: number, type: string, begin: string): Script =>
  (response) => {
    response.writeHead(code, { 'content-type': type }).write(begin);
    flood(response, PIECE);
  };

it('as the message of an error is read no further than the message goes', async () => {
  const endpoint = await server(endless(400, 'text/plain', 'no: '));
  const work = requestJson(endpoint.url, 'POST', {}, {}, undefined);
  await expect(work).rejects.toThrow(/the server refused the request \(HTTP 400\): no: x+$/);
  await expect.poll(() => endpoint.closedEarly).toBe(1);
});

it('as JSON is given up', async () => {
  const { url } = await server(endless(200, 'application/json', '{"data":"'));
  const work = requestJson(url, 'POST', {}, {}, undefined);
  await expect(work).rejects.toThrow(`${url}: the answer is longer than ${2 ** 26} bytes`);
});

it.each([
  ['events', 'data: '],
  ['events', ': '],
  ['events', '{"data":"'],
  ['lines', '{"response":"'],
] as const)('as one line of %s that begins with %s is given up', async (form, begin) => {
  const endpoint = await server(endless(200, 'text/event-stream', begin));
  const events = postEvents(endpoint.url, {}, {}, undefined, form);
  await expect(events.next()).rejects.toThrow(
    `${endpoint.url}: ${2 ** 23} characters came without a finished event`,
  );
  await expect.poll(() => endpoint.closedEarly).toBe(1);
});

it('as events has to wait for whoever reads them', async () => {
  const wanted = 2 ** 27;
  let sent = 0;
  const { url } = await server((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    flood(response, event(PIECE), (bytes) => {
      sent = bytes;
      if (bytes >= wanted) response.destroy();
    });
  });
  const events = postEvents(url, {}, {}, undefined);
  await events.next();
  // Until the buffers of the two kernels are full.
  for (let before = -1; before !== sent;) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  expect(sent).toBeLessThan(wanted / 2);
  // Then it goes on from there.
  for (let n = 0; n < 200; n++) expect((await events.next()).done).toBe(false);
  await events.return('eof');
});
