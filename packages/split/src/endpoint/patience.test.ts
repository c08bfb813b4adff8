// How long an endpoint is waited for: short for a connection, as long as the span may take for an answer to begin, and not at
// all for what need not come behind its end. Clocks are moved on by hand; the server is a real one.

import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { cleanups, server } from '../../test/cleanups.ts';
import { event, finish, silence, stream } from '../../test/fault-server.ts';
import { QUESTION } from '../../test/pair.ts';
import { solveToTrace } from '../index.ts';
import type { SolveOptions, Trace } from '../index.ts';
import { OpenAICompletionsModel, probeEndpoint } from './index.ts';
import type { EndpointOptions } from './index.ts';

afterEach(() => {
  vi.useRealTimers();
});

const moveableClock = (): unknown => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });

function run(endpoint: EndpointOptions, options: Partial<SolveOptions> = {}): Promise<Trace> {
  const large = new OpenAICompletionsModel({ model: 'm', retries: 0, ...endpoint });
  return solveToTrace(QUESTION, { small: null, large, policy: 'large', ...options });
}

describe('an answer that is slow to begin', () => {
  it.each([
    ['its head', false],
    ['the first bytes behind its head', true],
  ])('is waited for as long as the span may take: %s', async (_, headFirst) => {
    const held: ServerResponse[] = [];
    const endpoint = await server((response) => {
      if (headFirst) response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      held.push(response);
    });
    moveableClock();
    const running = run({ url: endpoint.url });
    await expect.poll(() => held.length).toBe(1);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    vi.advanceTimersByTime(110_000);
    if (!headFirst) held[0]!.writeHead(200, { 'content-type': 'text/event-stream' });
    held[0]!.write(event('1480'));
    finish(held[0]!);
    expect(await running).toMatchObject({ stopReason: 'end', text: '1480' });
  });

  it('ends the span at its limit', async () => {
    const endpoint = await server(silence);
    moveableClock();
    const running = run({ url: endpoint.url }, { spanMs: 200_000 });
    await expect.poll(() => endpoint.bodies.length).toBe(1);
    vi.advanceTimersByTime(199_000);
    expect(endpoint.closedEarly).toBe(0);
    vi.advanceTimersByTime(2_000);
    const trace = await running;
    expect(trace.stopReason).toBe('error');
    expect(trace.notes).toEqual(['the large endpoint failed: the span took longer than 200000 ms']);
  });

  it('is not waited for longer than an option says', async () => {
    const endpoint = await server(silence);
    const trace = await run({ url: endpoint.url, connectMs: 20_000, firstMs: 80 });
    expect(trace.notes.join()).toContain(`${endpoint.url}/completions: nothing arrived for 80 ms`);
  });

  it('is not waited for by the probe', async () => {
    const endpoint = await server(silence);
    moveableClock();
    const probing = probeEndpoint({ url: endpoint.url });
    probing.catch(() => undefined);
    await expect.poll(() => endpoint.bodies.length).toBe(1);
    vi.advanceTimersByTime(31_000);
    await expect(probing).rejects.toThrow('nothing arrived for 30000 ms');
  });
});

it('a connection that does not come about is given up sooner than an answer', async () => {
  // Takes the connection, and never says a word of TLS.
  const sockets: Socket[] = [];
  const mute = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
  const url = `https://127.0.0.1:${(mute.address() as AddressInfo).port}/v1`;
  const trace = await run({ url, connectMs: 200, firstMs: 60_000 });
  expect(trace.notes.join()).toContain(`${url}/completions: no connection for 200 ms`);
});

describe('a stream that stays open behind its finish reason', () => {
  const open = stream(
    ['The answer is ', '\\boxed{1480}.'],
    (response) => void response.write(event('', 'stop')),
  );

  it('has ended all the same', async () => {
    const endpoint = await server(open);
    const trace = await run({ url: endpoint.url });
    expect(trace).toMatchObject({ stopReason: 'end', answer: '1480', notes: [] });
    expect(trace.segments[0]).toMatchObject({ reason: 'end', tokens: 2, discardedTokens: 0 });
    await expect.poll(() => endpoint.closedEarly).toBe(1);
  });

  it('is waited for a moment: its usage may follow', async () => {
    const { url } = await server(
      stream(['1480'], (response) => {
        response.write(event('', 'stop'));
        setTimeout(() => finish(response), 100);
      }),
    );
    expect((await run({ url })).segments[0]!.promptTokens).toBe(100);
  });

  it('does not keep the probe', async () => {
    const { url } = await server(open);
    expect((await probeEndpoint({ url }, { echo: false, deadlineMs: 10_000 })).continuation).toBe('raw');
  });
});
