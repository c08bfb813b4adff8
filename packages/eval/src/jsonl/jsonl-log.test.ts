import { execFile } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

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

// A limit on the size of files fails a write half-way as a full disk does, with the system's own error.
test.skipIf(process.platform === 'win32')(
  'a line that the disk takes in part does not spoil the next',
  async () => {
    const path = join(await folder(), 'a.jsonl');
    const script = `
    import { openJsonlLog } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
    const log = await openJsonlLog(${JSON.stringify(path)});
    await log.append({ i: 1 });
    const failed = log.append({ long: 'x'.repeat(5000) }).catch((error) => error.code);
    await Promise.all([failed, log.append({ i: 2 })]);
    await log.close();
    console.log(await failed);`;
    const limited = [
      '-c',
      'ulimit -f 2; exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ];
    const { stdout } = await promisify(execFile)('sh', limited);
    expect(stdout).toBe('EFBIG\n');
    expect(await readFile(path, 'utf8')).toBe('{"i":1}\n{"i":2}\n');
  },
);

test('a file is replaced as a whole and leaves nothing beside it', async () => {
  const dir = await folder();
  await writeFileWhole(join(dir, 'r.json'), 'one');
  await writeFileWhole(join(dir, 'r.json'), 'two');
  expect(await readFile(join(dir, 'r.json'), 'utf8')).toBe('two');
  expect(await readdir(dir)).toEqual(['r.json']);
});

test('a file that cannot be replaced leaves nothing beside it', async () => {
  const dir = await folder();
  await mkdir(join(dir, 'r.json'));
  await expect(writeFileWhole(join(dir, 'r.json'), 'one')).rejects.toThrow(/rename/);
  expect(await readdir(dir)).toEqual(['r.json']);
});
