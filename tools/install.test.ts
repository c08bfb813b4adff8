// When `npm test` and `npm start` install: where packages are missing or others, and never only because a file is newer.
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isInstalled } from './install.mjs';

const locked = {
  '': { name: 'a-workspace' },
  'packages/one': { version: '0.1.0' },
  'node_modules/@a/one': { resolved: 'packages/one', link: true },
  'node_modules/plain': { version: '1.0.0', integrity: 'sha512-plain' },
  'packages/one/node_modules/plain': { version: '2.0.0', integrity: 'sha512-nested' },
  'node_modules/for-windows': { version: '3.0.0', integrity: 'sha512-windows', optional: true },
};
const { '': _, 'node_modules/for-windows': forWindows, ...installed } = locked;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton-install-'));
  mkdirSync(path.join(folder, 'node_modules'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function given(lock: unknown, present: unknown): string {
  const text = (packages: unknown): string =>
    typeof packages === 'string' ? packages : JSON.stringify({ lockfileVersion: 3, packages });
  const lockfile = path.join(folder, 'package-lock.json');
  writeFileSync(lockfile, text(lock));
  if (present !== undefined)
    writeFileSync(path.join(folder, 'node_modules', '.package-lock.json'), text(present));
  // As after a checkout: newer than anything that npm wrote.
  const later = Date.now() / 1000 + 60;
  utimesSync(lockfile, later, later);
  return folder;
}

it('the packages that these tests run with are installed', () => {
  expect(isInstalled(fileURLToPath(new URL('..', import.meta.url)))).toBe(true);
});

it.each<[string, unknown]>([
  ['all but what is for another platform', installed],
  ['what is for this platform, too', { ...installed, 'node_modules/for-windows': forWindows }],
  ['more, which somebody put there', { ...installed, 'node_modules/own': { version: '1.0.0' } }],
])('a lockfile that is only newer installs nothing over %s', (_, present) => {
  expect(isInstalled(given(locked, present))).toBe(true);
});

it.each<[string, unknown, unknown]>([
  ['nothing', locked, undefined],
  ['a package less', { ...locked, 'node_modules/new': { version: '1.0.0' } }, installed],
  [
    'a workspace less',
    { ...locked, 'node_modules/@a/two': { resolved: 'packages/two', link: true } },
    installed,
  ],
  [
    'another version',
    locked,
    { ...installed, 'node_modules/plain': { version: '0.9.0', integrity: 'sha512-plain' } },
  ],
  [
    'another version further down',
    locked,
    { ...installed, 'packages/one/node_modules/plain': { version: '1.9.0', integrity: 'sha512-nested' } },
  ],
  [
    'other contents',
    locked,
    { ...installed, 'node_modules/plain': { version: '1.0.0', integrity: 'sha512-other' } },
  ],
  [
    'another version of what is optional',
    locked,
    { ...installed, 'node_modules/for-windows': { ...forWindows, version: '2.9.0' } },
  ],
  ['half a list', locked, JSON.stringify({ packages: installed }).slice(0, 60)],
  ['all, but the lockfile is broken', '<<<<<<< HEAD', installed],
])('installs over %s', (_, lock, present) => {
  expect(isInstalled(given(lock, present))).toBe(false);
});
