// How clients of many kinds write their headers. Attacks are in tests/security.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toApiError } from '../api-error.ts';
import { door } from './door.ts';
import { Pairing } from './pairing.ts';
import { TokenStore } from './token-store.ts';

const page = 'https://app.example';
const app = new Hono();
let folder: string;
let token: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton-door-'));
  const pairing = new Pairing(new TokenStore(path.join(folder, 'paired.json')), {
    invitation: path.join(folder, 'invitation.json'),
  });
  token = pairing.tokens.issue(page, 'test');
  app.onError((error, c) => c.body(null, toApiError(error).status as 400));
  app.use(door({ hosts: () => new Set(['localhost']), origins: () => new Set([page]), pairing }));
  app.post('/v1/completions', (c) => c.body(null, 204));
});
afterAll(() => rmSync(folder, { recursive: true }));

const send = async (headers: Record<string, string>, method = 'POST'): Promise<Response> =>
  app.request('/v1/completions', { method, headers: { host: 'localhost', origin: page, ...headers } });

test.each([
  ['Bearer TOKEN', 204],
  ['bearer TOKEN', 204],
  ['BEARER TOKEN', 204],
  ['Basic TOKEN', 401],
  ['xbearer TOKEN', 401],
  ['TOKEN', 401],
])('authorization: %s', async (authorization, status) => {
  const headers = {
    'content-type': 'application/json',
    authorization: authorization.replace('TOKEN', token),
  };
  expect((await send(headers)).status).toBe(status);
});

test.each([
  ['application/json', 204],
  ['application/json; charset=utf-8', 204],
  ['application/json; charset="utf-8"', 204],
  ['Application/JSON;charset="UTF-8"', 204],
  ['application/json; charset="utf-8', 415],
  ['application/json; charset=utf-16', 415],
  ['text/plain; charset="application/json"', 415],
])('content-type: %s', async (type, status) => {
  expect((await send({ authorization: `Bearer ${token}`, 'content-type': type })).status).toBe(status);
});

test('a page may send what OpenAI’s client sends, and nothing else', async () => {
  const client =
    'authorization, content-type, openai-organization, openai-project, user-agent, x-stainless-arch, x-stainless-lang, ' +
    'x-stainless-os, x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, ' +
    'x-stainless-runtime-version, x-stainless-timeout';
  const asked = { 'access-control-request-headers': `${client}, cookie, openai-organization-x, x-custom` };
  const reply = await send(asked, 'OPTIONS');
  expect(reply.headers.get('access-control-allow-headers')).toBe(client);
});
