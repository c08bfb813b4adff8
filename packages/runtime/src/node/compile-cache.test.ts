// The folder of compiled checkpoints, where several are asked for at once and where it cannot be made.
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { diskFacts } from './disk-facts.ts';
import { resolveModel } from './open-local.ts';

const TINY = fileURLToPath(new URL('../../test/fixtures/tiny', import.meta.url));
const SMALL = { context: 32, chunk: 8 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-compile-cache-'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

test('one checkpoint that is opened several times at once is compiled once', async () => {
  const checkpoint = path.join(folder, 'checkpoint');
  await cp(TINY, checkpoint, { recursive: true });
  // The hashes of files of a megabyte are kept.
  await writeFile(path.join(checkpoint, 'notes.json'), ' '.repeat(3 << 20));
  vi.stubEnv('BATON_CACHE', path.join(folder, 'cache'));
  const found = await Promise.all(Array.from({ length: 4 }, () => resolveModel(checkpoint, SMALL)));
  expect(new Set(found).size).toBe(1);
  expect(await readdir(path.join(folder, 'cache', 'compiled'))).toEqual([path.basename(found[0]!)]);
  expect(await readdir(path.join(folder, 'cache', 'hashes'))).toHaveLength(1);
});

test('where hashes cannot be kept, models are found all the same', async () => {
  const checkpoint = path.join(folder, 'unkept');
  await cp(TINY, checkpoint, { recursive: true });
  await writeFile(path.join(checkpoint, 'notes.json'), ' '.repeat(3 << 20));
  const cache = path.join(folder, 'unkept-cache');
  vi.stubEnv('BATON_CACHE', cache);
  await mkdir(cache);
  await writeFile(path.join(cache, 'hashes'), '');
  expect(await resolveModel(checkpoint, SMALL)).toBe(await resolveModel(checkpoint, SMALL));
});

// Node's own recursive mkdir never returns there.
test.runIf(process.platform === 'linux')('a place that takes no folders is told', async () => {
  vi.stubEnv('BATON_CACHE', '/proc/nowhere/cache');
  await expect(resolveModel(TINY, SMALL)).rejects.toThrow(/\/proc\/nowhere.*; set BATON_CACHE to /);
  await diskFacts().set('a', 1);
  expect(await diskFacts().get('a')).toBeUndefined();
});
