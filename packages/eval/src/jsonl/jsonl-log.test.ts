import { appendFile, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';
import { openJsonlLog, readJsonlLog, writeFileWhole } from './index.ts';

const folder = (): Promise<string> => mkdtemp(join(tmpdir(), 'baton-jsonl-'));

test('rows come back in order, overlapping appends stay whole', async () => {
  const path = join(await folder(), 'deep', 'a.jsonl');
  const log = await openJsonlLog(path);
  const rows = Array.from({ length: 50 }, (_, i) => ({ i, text: 'x'.repeat(i * 97), emoji: '\u{1f3c3}' }));
  await Promise.all(rows.map((row) => log.append(row)));
  await log.close();
  expect((await readJsonlLog(path)).rows.map((row) => row.value)).toEqual(rows);
});

test('a line torn by a crash, even inside a character, is removed and the log goes on', async () => {
  const path = join(await folder(), 'a.jsonl');
  await writeFile(path, '{"i":1}\n');
  await appendFile(path, Buffer.from('{"i":2,"t":"\u00e9').subarray(0, -1));
  const log = await openJsonlLog(path);
  expect(log.rows.map((row) => row.value)).toEqual([{ i: 1 }]);
  expect(log.repairedBytes).toBe(13);
  await log.append({ i: 3 });
  await log.close();
  expect(await readFile(path, 'utf8')).toBe('{"i":1}\n{"i":3}\n');
});

test('a malformed line in the middle is an error with its number, and nothing is changed', async () => {
  const path = join(await folder(), 'a.jsonl');
  await writeFile(path, '{"i":1}\noops\n{"i":3}\n');
  await expect(openJsonlLog(path)).rejects.toThrow(/a\.jsonl:2: not JSON/);
  expect(await readFile(path, 'utf8')).toBe('{"i":1}\noops\n{"i":3}\n');
});

test('a value that cannot be written does not stop later appends', async () => {
  const log = await openJsonlLog(join(await folder(), 'a.jsonl'));
  expect(() => log.append({ big: 1n })).toThrow(TypeError);
  await log.append({ ok: true });
  await log.close();
});

test('a file is replaced as a whole and leaves nothing beside it', async () => {
  const dir = await folder();
  await writeFileWhole(join(dir, 'r.json'), 'one');
  await writeFileWhole(join(dir, 'r.json'), 'two');
  expect(await readFile(join(dir, 'r.json'), 'utf8')).toBe('two');
  expect(await readdir(dir)).toEqual(['r.json']);
});
