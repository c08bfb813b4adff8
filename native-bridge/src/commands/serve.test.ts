// A signal while the model is not open yet: there is nothing to wait for, and nothing half-written is left.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { resolveModel } from '@baton/runtime/node';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OwnHome } from '../../test/own-home.ts';

let home: OwnHome;
let compiled: string;
beforeEach(() => {
  home = new OwnHome();
  home.environment.BATON_CACHE = path.join(home.folder, 'cache');
  compiled = path.join(home.folder, 'cache', 'compiled');
  mkdirSync(compiled, { recursive: true });
});
afterEach(() => home?.remove());

const serve = (model: string, ...options: string[]): ReturnType<OwnHome['start']> =>
  home.start('serve', '--model', model, '--port', '0', '--target', 'ort-cpu', ...options);

it('a model that is being compiled is given up', async () => {
  const { process, ended } = serve('demo-large');
  await expect
    .poll(() => readdirSync(compiled).some((name) => name.startsWith('.demo-large-')), { interval: 1 })
    .toBe(true);
  process.kill('SIGINT');
  const { status, stderr } = await ended;
  expect(status).toBe(0);
  expect(stderr).toContain('stopping (SIGINT) before the model was open');
  expect(readdirSync(compiled)).toEqual([]);
});

it('options of a relay without a large model are said to do nothing', async () => {
  const { process, ended } = serve('demo-large', '--policy', 'threshold:0.3');
  await expect.poll(() => readdirSync(compiled).length).toBeGreaterThan(0);
  process.kill('SIGINT');
  expect((await ended).stderr).toContain('--policy does nothing without --large: no relay is served');
});

it('a model that another process compiles is not waited for', async () => {
  process.env.BATON_CACHE = path.join(os.tmpdir(), 'baton-test-cache');
  const name = path.basename(await resolveModel('demo-small'));
  writeFileSync(path.join(compiled, `${name}.lock`), `${process.pid}\n`);
  const { process: bridge, ended } = serve('demo-small');
  // Written just before it looks for the lock.
  await expect.poll(() => existsSync(path.join(home.folder, 'cache', 'hashes'))).toBe(true);
  bridge.kill('SIGTERM');
  expect((await ended).status).toBe(0);
});

it('a bridge that finds no place for its files says so and ends', async () => {
  const files = path.join(home.folder, 'no-folder');
  writeFileSync(files, '');
  home.environment.BATON_HOME = files;
  const { status, stdout, stderr } = await serve('demo-small', '--no-pairing', '--json').ended;
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/running cannot be made \(.*\); set BATON_HOME to a folder that can be written\n$/);
});
