import { mkdtemp, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { expect, test } from 'vitest';
import { makeFolder } from './index.ts';

const empty = (): Promise<string> => mkdtemp(path.join(tmpdir(), 'baton-folder-'));

test('makes what is missing and tells what it made; what is there stays', async () => {
  const place = await empty();
  const deep = path.join(place, 'a', 'b');
  expect(await makeFolder(deep)).toEqual([path.join(place, 'a'), deep]);
  expect(await makeFolder(deep)).toEqual([]);
  const many = await Promise.all(Array.from({ length: 8 }, () => makeFolder(path.join(deep, 'c', 'd'))));
  expect(many.flat().toSorted()).toEqual([path.join(deep, 'c'), path.join(deep, 'c', 'd')]);
  expect((await stat(path.join(deep, 'c', 'd'))).isDirectory()).toBe(true);
});

test('a file on the way, a link to nowhere and a place that takes no folder are one line each', async () => {
  const place = await empty();
  await writeFile(path.join(place, 'file'), '');
  await symlink('nowhere', path.join(place, 'link'));
  const refused = ['file', 'file/below/it', 'link/below'].map((name) => path.join(place, name));
  // Node's own recursive mkdir never comes back from here.
  if (process.platform === 'linux') refused.push('/proc/below/it');
  for (const one of refused)
    await expect(makeFolder(one)).rejects.toThrow(/^.*: cannot be created.*; choose another place$/);
  expect((await readdir(place)).toSorted()).toEqual(['file', 'link']);
});
