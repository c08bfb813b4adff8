// Tokens and codes as they lie on disk and as another process changes them.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { accept, invite, invited } from './invitation.ts';
import { Pairing } from './pairing.ts';
import { RateLimit } from './rate-limit.ts';
import { TokenStore } from './token-store.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton-door-'));
  file = path.join(folder, 'config', 'paired.json');
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

describe('tokens', () => {
  test('belong to one origin, and only their hash is stored', () => {
    const store = new TokenStore(file);
    const token = store.issue('https://a.example', 'a');
    expect(store.find(token, 'https://a.example')?.name).toBe('a');
    for (const origin of ['https://b.example', null]) expect(store.find(token, origin)).toBeNull();
    expect(store.find(`${token}x`, 'https://a.example')).toBeNull();
    expect(readFileSync(file, 'utf8')).not.toContain(token);
    if (process.platform !== 'win32') expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('a name cannot write over the list that it stands in', () => {
    const store = new TokenStore(file);
    store.issue('https://a.example', '\u001b[2J\rüb er\n1234  2026  program  ✓\u202e\u2028x');
    expect(store.list()[0]!.name).toBe('[2J üb er 1234  2026  program  ✓ x');
  });

  test('revoked by another process end in this one', () => {
    const here = new TokenStore(file);
    const token = here.issue(null, 'a program');
    const other = new TokenStore(file);
    expect(other.revoke(other.list()[0]!.id)).toBe(1);
    expect(here.find(token, null)).toBeNull();
    expect(other.revoke('nobody')).toBe(0);
  });

  test.each(['{', '{"clients":7}', ''])('a file that holds %j lets nobody in', (text) => {
    const store = new TokenStore(file);
    const token = store.issue(null, 'a');
    writeFileSync(file, text);
    expect(() => new TokenStore(file).find(token, null)).toThrow(/delete it and pair again/);
  });
});

describe('an invitation', () => {
  test('works once', () => {
    const code = invite(file);
    expect(accept(file, 'AAAA-AAAA')).toBe(false);
    expect(accept(file, code.toLowerCase())).toBe(true);
    expect(accept(file, code)).toBe(false);
  });

  test('ends after ten minutes, also where the clock is set back', () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const code = invite(file);
    vi.setSystemTime(Date.now() - 60_000);
    expect(accept(file, code)).toBe(false);
    vi.setSystemTime(Date.now() + 60_000 + 9 * 60_000);
    expect(invited(file)).toBe(true);
    vi.setSystemTime(Date.now() + 61_000);
    expect(accept(file, code)).toBe(false);
  });
});

describe('pairing', () => {
  test('five wrong guesses end a code, wherever it came from', () => {
    let code = '';
    let now = 0;
    const options = { announce: (shown: string) => void (code = shown), clock: () => now };
    const pairing = new Pairing(new TokenStore(file), { invitation: path.join(folder, 'i'), ...options });
    pairing.open();
    const first = code;
    const invitation = invite(path.join(folder, 'i'));
    for (let i = 0; i < 5; i++)
      expect(() => pairing.exchange(`AAAA-AAA${i}`, null, 'x')).toThrow(/not the code/);
    now += 60_000;
    for (const one of [first, invitation]) expect(() => pairing.exchange(one, null, 'x')).toThrow(/code/);
    expect(code).not.toBe(first);
  });

  test('where nobody watches, no code is made, and the message says how to get one', () => {
    const pairing = new Pairing(new TokenStore(file), { invitation: path.join(folder, 'i') });
    pairing.open();
    expect(() => pairing.exchange('AAAA-AAAA', null, 'x')).toThrow(/baton-bridge pair/);
    const token = pairing.exchange(invite(path.join(folder, 'i')), 'https://a.example', 'x');
    expect(pairing.tokens.find(token, 'https://a.example')).not.toBeNull();
  });
});

test('a rate limit refills evenly', () => {
  let now = 0;
  const limit = new RateLimit(3, 3000, () => now);
  expect([limit.take(), limit.take(), limit.take(), limit.take()]).toEqual([true, true, true, false]);
  expect(limit.retryAfter).toBe(1);
  now = 1000;
  expect([limit.take(), limit.take()]).toEqual([true, false]);
});
