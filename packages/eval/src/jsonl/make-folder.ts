// A folder and those on the way to it, created one by one from the nearest that exists. Node's own recursive mkdir is not
// used: it never returns where the system answers "no such file" for a name in a folder that exists, as Linux does in /proc.

import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

import { EvalError } from '../eval-error.ts';

/** Resolves with the folders that it created, outermost first. Throws EvalError where one of them cannot be. */
export async function makeFolder(folder: string): Promise<string[]> {
  const missing: string[] = [];
  let nearest = path.resolve(folder);
  while ((await kindOf(nearest)) === 'nothing' && path.dirname(nearest) !== nearest) {
    missing.unshift(nearest);
    nearest = path.dirname(nearest);
  }
  if ((await kindOf(nearest)) !== 'folder')
    throw new EvalError(`${folder}: cannot be created, since ${nearest} is no folder; choose another place`);
  const created: string[] = [];
  for (const one of missing) {
    try {
      await mkdir(one);
      created.push(one);
    } catch (cause) {
      // Another process was faster.
      if ((await kindOf(one)) === 'folder') continue;
      throw new EvalError(
        `${folder}: cannot be created (${(cause as Error).message}); choose another place`,
        { cause },
      );
    }
  }
  return created;
}

async function kindOf(place: string): Promise<'folder' | 'nothing' | 'something else'> {
  const there = await stat(place).catch(() => null);
  if (there === null) return 'nothing';
  return there.isDirectory() ? 'folder' : 'something else';
}
