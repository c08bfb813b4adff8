// A folder and those on the way to it, created one by one from the nearest that exists. Node's own recursive mkdir is not
// used: it never returns where the system answers "no such file" for a name in a folder that exists, as Linux does in /proc.

import { existsSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';

/** The folders that it created, outermost first, with this `mode`. Throws the system's error, or names what is no folder. */
export function makeFolder(folder: string, mode?: number): string[] {
  const place = path.resolve(folder);
  if (isFolder(place)) return [];
  if (existsSync(place)) throw new Error(`${place} is no folder`);
  const created = makeFolder(path.dirname(place), mode);
  try {
    mkdirSync(place, { mode });
  } catch (error) {
    // Another process was faster.
    if (isFolder(place)) return created;
    throw error;
  }
  return [...created, place];
}

function isFolder(place: string): boolean {
  return existsSync(place) && statSync(place).isDirectory();
}
