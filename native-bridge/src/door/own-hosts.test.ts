// Which names the bridge answers to, by the Host header of requests to one that really listens.
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBridge, type Bridge } from '../start.ts';
import { ownHosts } from './own-hosts.ts';

let home: string;
beforeAll(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'baton-hosts-'));
  process.env.BATON_HOME = home;
  process.env.BATON_CACHE = path.join(os.tmpdir(), 'baton-test-cache');
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Status of GET /health, asked under this name. */
function health({ port }: Bridge, name: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { host: `${name}:${port}` };
    request({ host: '127.0.0.1', port, path: '/health', headers, agent: false }, (reply) => {
      reply.resume();
      resolve(reply.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

const LOOPBACK = ['127.0.0.1', 'localhost', 'LOCALHOST', '[::1]'];
const addresses = Object.values(os.networkInterfaces()).flatMap((all) => all ?? []);
const machine = addresses.map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address));

describe.each([
  [
    '0.0.0.0',
    [...LOOPBACK, '0.0.0.0', ...machine, os.hostname()],
    ['evil.example', '192.0.2.1', '[2001:db8::1]', 'localhost.evil.example'],
  ],
  // Capitals, as some systems have them in the machine's own name.
  ['LocalHost', LOOPBACK, ['evil.example', '192.0.2.1', '0.0.0.0']],
])('listening on %s', (host, own, foreign) => {
  let bridge: Bridge;
  beforeAll(async () => {
    const log = { info: () => undefined, error: () => undefined, request: () => undefined };
    const model = { model: 'demo-small', target: 'ort-cpu' } as const;
    bridge = await startBridge({ ...model, host, port: 0, anyAddress: true, log });
  });
  afterAll(() => bridge?.close());

  it('answers to its own names, in any letters', async () => {
    for (const name of own) expect([name, await health(bridge, name)]).toEqual([name, 200]);
  });

  it('answers to no other name, wherever that leads', async () => {
    for (const name of foreign) expect([name, await health(bridge, name)]).toEqual([name, 421]);
  });
});

it('on port 80 the name alone is enough, as clients write it', () => {
  expect([...ownHosts('box', 80)].sort()).toEqual(['box', 'box:80']);
  expect([...ownHosts('box', 8080)]).toEqual(['box:8080']);
});
