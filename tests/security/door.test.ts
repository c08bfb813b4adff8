// Attacks on the loopback server that web pages and local programs can mount, against a really started `baton serve`.
// Every case that must not be served also checks that nothing was generated for it.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { serve, type Served } from '../support/serve.ts';
import { request, sendRaw, sendSlowly, type RawReply, type RawRequest } from './raw-http.ts';

const page = 'https://app.example';
const completion = JSON.stringify({ prompt: 'Tom has', max_tokens: 1, temperature: 0 });
let server: Served;
let token: string;

beforeAll(async () => {
  server = await serve(['--allow-origin', page, '--verbose'], 'demo-small');
  const paired = await pair(await server.code(), { origin: page });
  token = (JSON.parse(bodyOf(paired)) as { token: string }).token;
});
afterAll(async () => {
  await server?.stop();
});

const send = (options: RawRequest): Promise<RawReply> => request(server.port, options);
const pair = (code: string, headers: RawRequest['headers'] = {}): Promise<RawReply> =>
  send({ path: '/pair', headers, body: JSON.stringify({ code, name: 'test' }) });
const bodyOf = (reply: RawReply): string => /\{.*\}/s.exec(reply.text)?.[0] ?? '';
const bearer = (): Record<string, string> => ({ authorization: `Bearer ${token}` });
/** Successful generations so far, by the server's own log. */
const served = (): number => [...server.log().matchAll(/POST \/v1\/\S+ 200/g)].length;

test('the paired page is served, with its own origin in the answer and no other', async () => {
  const reply = await send({ headers: { origin: page, ...bearer() }, body: completion });
  expect(reply.status).toBe(200);
  expect(reply.text).toMatch(/access-control-allow-origin: https:\/\/app\.example\r\n/i);
  expect(reply.text).not.toMatch(/access-control-allow-credentials/i);
  await expect.poll(served).toBe(1);
});

describe('not served', () => {
  let before = 0;
  beforeAll(async () => {
    await vi.waitUntil(() => served() > 0, { timeout: 30_000 });
    before = served();
  });
  afterEach(() => {
    expect(served()).toBe(before);
  });

  test.each([
    ['rebinding', 'evil.example'],
    ['rebinding with the port', 'evil.example:PORT'],
    ['another port', '127.0.0.1:1'],
    ['no port', '127.0.0.1'],
    ['a name that only starts like ours', 'localhost.evil.example:PORT'],
    ['the any-address', '0.0.0.0:PORT'],
  ])('Host: %s', async (_name, host) => {
    const headers = { host: host.replace('PORT', String(server.port)), ...bearer(), origin: page };
    expect((await send({ headers, body: completion })).status).toBe(421);
    expect((await send({ method: 'GET', path: '/health', headers })).status).toBe(421);
  });

  test('a Host that is no host', async () => {
    for (const host of [`evil@127.0.0.1:${server.port}`, 'a b', ''])
      expect([400, 421]).toContain((await send({ headers: { host, ...bearer() }, body: completion })).status);
  });

  test('no Host at all', async () => {
    expect((await send({ headers: { host: undefined, ...bearer() }, body: completion })).status).toBe(400);
  });

  test('two Hosts', async () => {
    const head = `POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nHost: evil.example\r\n`;
    const reply = await sendRaw(
      server.port,
      `${head}content-type: application/json\r\nauthorization: Bearer ${token}\r\nconnection: close\r\ncontent-length: ${completion.length}\r\n\r\n${completion}`,
    );
    // Node takes the first of the two; without a page's origin this token is not valid anyway.
    expect(reply.status).toBeGreaterThanOrEqual(400);
  });

  test('an absolute address in the request line does not replace the Host', async () => {
    const path = `http://127.0.0.1:${server.port}/v1/completions`;
    const reply = await send({
      path,
      headers: { host: 'evil.example', origin: page, ...bearer() },
      body: completion,
    });
    expect(reply.status).toBe(421);
  });

  test.each([
    ['foreign', 'https://evil.example'],
    ['null (sandboxed frame, file)', 'null'],
    ['our page on another scheme', 'http://app.example'],
    ['our page on another port', 'https://app.example:8443'],
    ['a subdomain of our page', 'https://x.app.example'],
    ['our page as a prefix', 'https://app.example.evil.example'],
    ['in capitals', 'HTTPS://APP.EXAMPLE'],
    ['empty', ''],
  ])('Origin: %s', async (_name, origin) => {
    const reply = await send({ headers: { origin, ...bearer() }, body: completion });
    expect(reply.status).toBe(403);
    expect(reply.text).not.toMatch(/access-control-allow-origin/i);
    const preflight = await send({
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    });
    expect(preflight.status).toBe(403);
    expect(preflight.text).not.toMatch(/access-control-allow/i);
  });

  test('Origin missing, but sent by a page', async () => {
    for (const site of ['cross-site', 'same-site'])
      expect(
        (await send({ headers: { 'sec-fetch-site': site, ...bearer() }, body: completion })).status,
      ).toBe(403);
  });

  test('Origin missing: a page’s token is not valid for programs', async () => {
    expect((await send({ headers: bearer(), body: completion })).status).toBe(401);
  });

  test.each([
    ['none', {}],
    ['wrong', { authorization: `Bearer baton_${'A'.repeat(43)}` }],
    ['another scheme', { authorization: 'Basic YTpi' }],
    ['empty', { authorization: 'Bearer ' }],
    ['in the address', {}, `?token=`],
  ])('token: %s', async (_name, headers: Record<string, string>, query = '') => {
    const path = `/v1/completions${query && query + token}`;
    expect((await send({ path, headers: { origin: page, ...headers }, body: completion })).status).toBe(401);
    expect(
      (await send({ method: 'GET', path: '/v1/models', headers: { origin: page, ...headers } })).status,
    ).toBe(401);
  });

  test('a form or a simple request: only JSON is read', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain; application/json',
      'application/json; charset=utf-16',
      undefined,
    ]) {
      const headers = { origin: page, ...bearer(), 'content-type': type };
      expect((await send({ headers, body: completion })).status).toBe(415);
    }
  });

  test('GET changes and computes nothing', async () => {
    for (const path of ['/v1/completions?prompt=a', '/pair?code=AAAA-AAAA'])
      expect((await send({ method: 'GET', path, headers: { origin: page, ...bearer() } })).status).toBe(404);
  });

  test('a method override is not listened to', async () => {
    const headers = { origin: page, ...bearer(), 'x-http-method-override': 'POST' };
    expect((await send({ method: 'GET', headers })).status).toBe(404);
  });

  test.each([
    '/../../../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/v1/models/..%2f..%2fpackage.json',
    '/v1/models/%00',
    '//evil.example/v1/models',
    '/..\\..\\package.json',
  ])('path %s', async (path) => {
    const reply = await send({ method: 'GET', path, headers: { origin: page, ...bearer() } });
    expect(reply.status).toBeGreaterThanOrEqual(400);
    expect(reply.text).not.toMatch(/root:|"workspaces"/);
  });

  test('no field of a request chooses a model, a file or an address', async () => {
    for (const model of ['../demo-large', '/etc', 'https://evil.example/model', 'demo-large']) {
      const body = JSON.stringify({ prompt: 'x', model });
      expect((await send({ headers: { origin: page, ...bearer() }, body })).status).toBe(404);
    }
  });

  test('oversized bodies, announced and not', async () => {
    const headers = { origin: page, ...bearer() };
    const announced = await send({ headers: { ...headers, 'content-length': String(1e9) }, body: '{' });
    expect(announced.status).toBe(413);
    const piece = `${(65536).toString(16)}\r\n${'a'.repeat(65536)}\r\n`;
    const head = Object.entries({
      host: `127.0.0.1:${server.port}`,
      'content-type': 'application/json',
      'transfer-encoding': 'chunked',
      ...headers,
    });
    const chunked = `POST /v1/completions HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n${piece.repeat(80)}0\r\n\r\n`;
    // 413, or the connection is cut while the rest is still coming.
    expect([413, 0]).toContain((await sendRaw(server.port, chunked)).status);
  });

  test('header floods', async () => {
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x-${i}`, 'a'.repeat(20)]));
    expect([431, 0]).toContain(
      (await send({ headers: { origin: page, ...bearer(), ...many }, body: completion })).status,
    );
    const long = { 'x-long': 'a'.repeat(100_000) };
    expect([431, 0]).toContain(
      (await send({ headers: { origin: page, ...bearer(), ...long }, body: completion })).status,
    );
  });

  test('two lengths for one body (request smuggling)', async () => {
    const headers = { origin: page, ...bearer(), 'transfer-encoding': 'chunked' };
    expect((await send({ headers, body: completion })).status).toBe(400);
  });

  test('a slow body is cut off, and a slow header as well', async () => {
    const head = `POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\norigin: ${page}\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n`;
    const began = performance.now();
    const [body, headers] = await Promise.all([
      sendSlowly(server.port, `${head}content-length: 4000\r\n\r\n{`, ' ', 60_000),
      sendSlowly(server.port, head, 'x-a: b\r\n', 60_000),
    ]);
    // 30 s for a whole request, 10 s for its headers, looked at every two.
    for (const reply of [body, headers]) expect([408, 0]).toContain(reply.status);
    expect(performance.now() - began).toBeLessThan(58_000);
  }, 90_000);

  test('JSON that is deep, huge in numbers, or no object', async () => {
    const headers = { origin: page, ...bearer() };
    for (const body of [
      '['.repeat(100_000) + ']'.repeat(100_000),
      `{"prompt":"a","max_tokens":1e400}`,
      '{"prompt":"a","__proto__":{"max_tokens":1},"n":1000000}',
      'null',
      '"text"',
      '{"prompt"',
      '',
      '\u0000',
    ])
      expect((await send({ headers, body })).status).toBe(400);
  });

  test('a session of the step-by-step API: without a token, with a made-up id', async () => {
    const body = JSON.stringify({ text: 'x' });
    expect((await send({ path: '/v1/sessions', headers: { origin: page }, body: '{}' })).status).toBe(401);
    const path = '/v1/sessions/00000000-0000-4000-8000-000000000000/sync';
    expect((await send({ path, headers: { origin: page, ...bearer() }, body })).status).toBe(404);
  });

  test('a WebSocket from a bad origin, and any other', async () => {
    for (const origin of ['https://evil.example', page, undefined]) {
      const reply = await send({
        method: 'GET',
        path: '/v1/completions',
        headers: {
          origin,
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
          'sec-websocket-version': '13',
        },
      });
      expect(reply.status).toBe(400);
      expect(reply.text).toContain('no_websocket');
    }
  });
});

test('HTTP clients that offer another protocol, as Java’s does, are served all the same', async () => {
  const headers = {
    origin: page,
    ...bearer(),
    connection: 'Upgrade, HTTP2-Settings, close',
    upgrade: 'h2c',
    'http2-settings': 'AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA',
  };
  expect((await send({ method: 'GET', path: '/v1/models', headers })).status).toBe(200);
});

describe('health', () => {
  test('tells a page on the list that there is a bridge, and nothing more', async () => {
    const reply = await send({ method: 'GET', path: '/health', headers: { origin: page } });
    expect(JSON.parse(bodyOf(reply))).toEqual({
      status: 'ok',
      protocol: 'baton-bridge/1',
      pairing: 'required',
    });
  });

  test('tells other pages nothing', async () => {
    const reply = await send({ method: 'GET', path: '/health', headers: { origin: 'https://evil.example' } });
    expect(reply.status).toBe(403);
    expect(reply.text).not.toMatch(/baton-bridge/);
  });
});

test('a preflight of the paired page allows what the API needs, for ten minutes', async () => {
  const reply = await send({
    method: 'OPTIONS',
    headers: {
      origin: page,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization, content-type, x-stainless-os, cookie',
    },
  });
  expect(reply.status).toBe(204);
  expect(reply.text).toMatch(
    /access-control-allow-headers: authorization, content-type, x-stainless-os\r\n/i,
  );
  expect(reply.text).toMatch(/access-control-max-age: 600/i);
});

test('an older Chrome’s question for private-network access is answered for the page on the list only', async () => {
  const ask = (origin: string): Promise<RawReply> =>
    send({
      method: 'OPTIONS',
      path: '/health',
      headers: {
        origin,
        'access-control-request-method': 'GET',
        'access-control-request-private-network': 'true',
      },
    });
  expect((await ask(page)).text).toMatch(/access-control-allow-private-network: true/i);
  expect((await ask('https://evil.example')).text).not.toMatch(/allow-private-network/i);
});

describe('pairing', () => {
  test('a code works once: replayed it is refused, and a new one is shown', async () => {
    const used = await server.code();
    expect((await pair(used, { origin: page })).status).toBe(403);
    await expect.poll(() => server.code()).not.toBe(used);
    const fresh = await server.code();
    const reply = await pair(fresh.toLowerCase().replace('-', ' '));
    expect(reply.status).toBe(200);
    const program = (JSON.parse(bodyOf(reply)) as { token: string }).token;
    expect((await send({ headers: { authorization: `Bearer ${program}` }, body: completion })).status).toBe(
      200,
    );
    // A page that got hold of a program's token cannot use it.
    expect(
      (await send({ headers: { origin: page, authorization: `Bearer ${program}` }, body: completion }))
        .status,
    ).toBe(401);
    expect((await pair(fresh)).status).toBe(403);
  });

  test('guessing is cut off', async () => {
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await pair(`AAAA-${i}AAA`, { origin: page })).status);
    expect(statuses).not.toContain(200);
    expect(statuses.at(-1)).toBe(429);
  });
});

test('neither prompts nor tokens are in the log', async () => {
  expect(server.log()).toContain('POST /v1/completions 200');
  expect(server.log()).not.toContain('Tom has');
  expect(server.log()).not.toContain(token);
});

test('an address that others can reach needs the long flag', async () => {
  await expect(serve(['--host', '0.0.0.0'], 'demo-small')).rejects.toThrow(
    /dangerously-listen-on-any-address/,
  );
});
