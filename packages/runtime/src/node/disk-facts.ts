// Facts kept as small files in the cache folder; written under a temporary name and renamed, so that none is read half.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Facts } from '../facts.ts';
import { cacheRoot } from './cache-root.ts';
import { makeFolder } from './make-folder.ts';
import { writeWhole } from './write-whole.ts';

export function diskFacts(): Facts {
  const at = (key: string): string =>
    path.join(cacheRoot(), 'facts', createHash('sha256').update(key).digest('hex'));
  return {
    get: async (key) => {
      try {
        return JSON.parse(await readFile(at(key), 'utf8')) as unknown;
      } catch {
        return undefined;
      }
    },
    set: async (key, value) => {
      const file = at(key);
      try {
        makeFolder(path.dirname(file));
        await writeWhole(file, JSON.stringify(value));
      } catch {
        // A cache that cannot be written is no cache; the fact is found out again next time.
      }
    },
  };
}
