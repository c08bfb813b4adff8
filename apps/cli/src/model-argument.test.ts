// What a model argument that is an address gives away: to the server there, and to those who read a report.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, vi } from 'vitest';
import { identifyModelArgument, openModelArgument } from './model-argument.ts';

/** The Authorization headers that an endpoint sees which is opened as `host`. */
async function seenBy(host: string): Promise<Set<string | undefined>> {
  const seen = new Set<string | undefined>();
  const server = createServer(({ headers }, response) => {
    seen.add(headers.authorization);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[{"id":"some"}]}');
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  try {
    const model = await openModelArgument(`http://${host}:${(server.address() as AddressInfo).port}`);
    await model.close?.();
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  return seen;
}

it("the bridge's token goes to this machine only", async () => {
  vi.stubEnv('BATON_BRIDGE_TOKEN', 'secret');
  try {
    expect(await seenBy('127.0.0.1')).toEqual(new Set(['Bearer secret']));
    expect(await seenBy('localhost')).toEqual(new Set(['Bearer secret']));
    // Reaches this machine by a name that is not known to be its own.
    expect(await seenBy('0.0.0.0')).toEqual(new Set([undefined]));
  } finally {
    vi.unstubAllEnvs();
  }
});

it('a report names an address without its password and its query', async () => {
  const address = 'https://me:password@example.org/api/v1?key=secret';
  expect(await identifyModelArgument(address)).toBe('https://example.org/api/v1');
  expect(await identifyModelArgument(address, { modelId: 'r1' })).toBe('r1 at https://example.org/api/v1');
});
