import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createBrotliCompress, createDeflate, createGzip, gzipSync } from 'node:zlib';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { closeServer } from '../bench/model-endpoint.ts';
import { postEvents, requestJson } from './event-stream.ts';

const servers: Server[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  await Promise.all(servers.splice(0).map(closeServer));
});

interface Served {
  url: string;
  /** Connections so far, and those that requests came over, oldest first. */
  opened: Socket[];
  used: Socket[];
}

async function serve(
  answer: (response: ServerResponse, request: IncomingMessage, n: number) => void,
): Promise<Served> {
  const opened: Socket[] = [];
  const used: Socket[] = [];
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      used.push(request.socket);
      answer(response, request, used.length);
    });
  });
  server.on('connection', (socket) => opened.push(socket));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, opened, used };
}

async function eventsOf(url: string): Promise<string[]> {
  const events: string[] = [];
  for await (const data of postEvents(url, {}, { retries: 0 }, undefined)) events.push(data);
  return events;
}

const events = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { 'content-type': 'text/event-stream' });

describe('a request from Node', () => {
  it('goes over the connection of the one before, though its answer ended behind [DONE]', async () => {
    const { url, used } = await serve((response) => {
      events(response).write('data: 1\n\ndata: [DONE]\n\n');
      setTimeout(() => response.end(), 20);
    });
    expect(await eventsOf(url)).toEqual(['1']);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await eventsOf(url)).toEqual(['1']);
    expect(used[1]).toBe(used[0]);
  });

  it('does not wait for an end that never comes behind [DONE]', async () => {
    const { url, used } = await serve((response) => events(response).write('data: [DONE]\n\n'));
    expect(await eventsOf(url)).toEqual([]);
    await expect.poll(() => used[0]!.destroyed).toBe(true);
  });

  it('finds a connection ready beside the one in use', async () => {
    const held: ServerResponse[] = [];
    const { url, opened, used } = await serve((response, _, n) => {
      if (n === 1) held.push(events(response));
      else events(response).end('data: [DONE]\n\n');
    });
    const first = eventsOf(url);
    await expect.poll(() => opened.length).toBe(2);
    expect(used).toHaveLength(1);
    await eventsOf(url);
    expect(used[1]).toBe(opened[1]);
    held[0]!.end('data: [DONE]\n\n');
    await first;
  });

  it('does not take for its answer what a server says on a ready connection that it gives up', async () => {
    const held: ServerResponse[] = [];
    const { url, opened, used } = await serve((response, _, n) => {
      if (n === 1) held.push(events(response));
      else events(response).end('data: 1\n\ndata: [DONE]\n\n');
    });
    const first = eventsOf(url);
    await expect.poll(() => opened.length).toBe(2);
    opened[1]!.end('HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await eventsOf(url)).toEqual(['1']);
    expect(used[1]).toBe(opened[2]);
    held[0]!.end('data: [DONE]\n\n');
    await first;
  });

  it('opens another connection where the server has closed the ready one, and the kept one', async () => {
    const { url, opened, used } = await serve((response) =>
      events(response).end('data: 1\n\ndata: [DONE]\n\n'),
    );
    await eventsOf(url);
    await expect.poll(() => opened.length).toBe(2);
    for (const socket of opened) socket.destroy();
    expect(await eventsOf(url)).toEqual(['1']);
    expect(used[1]).not.toBe(opened[0]);
    expect(used[1]).not.toBe(opened[1]);
  });

  it('follows an address that has moved', async () => {
    const { url } = await serve((response, request) => {
      if (request.url === '/') return response.writeHead(307, { location: '/there' }).end();
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ at: request.url }));
    });
    expect(await requestJson(url, 'POST', {}, {}, undefined)).toEqual({ at: '/there' });
  });

  it.each([
    ['gzip', createGzip],
    ['deflate', createDeflate],
    ['br', createBrotliCompress],
  ])('unpacks a stream that comes as %s though nobody asked for it, as it comes', async (encoding, pack) => {
    let goOn = (): void => undefined;
    const { url } = await serve((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': encoding });
      const packed = pack();
      packed.pipe(response);
      packed.write('data: 1\n\n');
      packed.flush();
      goOn = () => void packed.end('data: 2\n\ndata: [DONE]\n\n');
    });
    const stream = postEvents(url, {}, { retries: 0 }, undefined);
    expect(await stream.next()).toEqual({ value: '1', done: false });
    goOn();
    expect(await stream.next()).toEqual({ value: '2', done: false });
    expect(await stream.next()).toEqual({ value: 'done', done: true });
  });

  it('tells of a packed answer that breaks off, and stops one that is given up', async () => {
    let closed = 0;
    const { url } = await serve((response, _, n) => {
      response.once('close', () => closed++);
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' });
      response.write(gzipSync('data: 1\n\n'.repeat(9)).subarray(0, 12));
      if (n === 1) setTimeout(() => response.destroy(), 30);
    });
    await expect(eventsOf(url)).rejects.toThrow(`${url}: the connection was closed by the server`);
    const control = new AbortController();
    const given = postEvents(url, {}, { retries: 0 }, control.signal).next();
    setTimeout(() => control.abort(), 50);
    await expect(given).rejects.toThrow('cancelled');
    await expect.poll(() => closed).toBe(2);
  });

  it('is left to fetch where that goes through a proxy', async () => {
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    vi.stubGlobal('fetch', async () => Response.json({ by: 'fetch' }));
    expect(await requestJson('http://127.0.0.1:9/', 'GET', undefined, {}, undefined)).toEqual({
      by: 'fetch',
    });
  });
});
