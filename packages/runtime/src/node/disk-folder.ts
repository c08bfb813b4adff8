// The model store's place on disk.

import { open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { RuntimeError } from '../errors.ts';
import { ModelStore } from '../store/model-store.ts';
import type { StoreFolder } from '../store/folder.ts';
import { cacheRoot } from './cache-root.ts';
import { withLock } from './lock.ts';
import { makeFolder } from './make-folder.ts';
import { writeWhole } from './write-whole.ts';

/** The store of downloaded models in Node, under BATON_CACHE or ~/.cache/baton. */
export function diskStore(root = path.join(cacheRoot(), 'models')): ModelStore {
  return new ModelStore(diskFolder(root));
}

export function diskFolder(root: string): StoreFolder {
  const at = (file: string): string => path.join(root, ...file.split('/'));
  const parent = async (file: string): Promise<unknown> => makeFolder(path.dirname(at(file)));
  return {
    size: async (file) => {
      const info = await stat(at(file)).catch(() => null);
      return info?.isFile() ? info.size : null;
    },
    read: async (file, offset, length, spare) => {
      const handle = await open(at(file));
      try {
        const bytes = spare ?? new Uint8Array(length);
        for (let done = 0; done < length;) {
          const { bytesRead } = await handle.read(
            bytes,
            done,
            Math.min(1 << 30, length - done),
            offset + done,
          );
          if (bytesRead === 0)
            throw new RuntimeError(
              'store',
              `${at(file)} ends at byte ${offset + done}; ${offset + length} were expected`,
            );
          done += bytesRead;
        }
        return bytes;
      } finally {
        await handle.close();
      }
    },
    append: async (file, offset) => {
      await parent(file);
      const handle = await open(at(file), offset > 0 ? 'r+' : 'w');
      try {
        await handle.truncate(offset);
      } catch (error) {
        await handle.close();
        throw error;
      }
      let position = offset;
      return {
        write: async (bytes) => {
          for (let done = 0; done < bytes.length;)
            done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
          position += bytes.length;
        },
        close: async () => {
          try {
            await handle.sync();
          } finally {
            await handle.close();
          }
        },
      };
    },
    writeWhole: async (file, bytes) => {
      await parent(file);
      await writeWhole(at(file), bytes);
    },
    rename: (from, to) => rename(at(from), at(to)),
    remove: (file) => rm(at(file), { recursive: true, force: true }),
    list: async (folder) => {
      const names = await readdir(folder === '' ? root : at(folder)).catch(() => []);
      return names.filter((n) => !n.endsWith('.lock') && !n.endsWith('.tmp'));
    },
    free: async () => {
      makeFolder(root);
      const { bavail, bsize } = await statfs(root);
      return bavail * bsize;
    },
    // There is nothing to ask: the system deletes no files to make room, as a browser does.
    persistence: async () => ({
      persisted: true,
      detail: `files in ${root} stay until somebody deletes them`,
    }),
    disk: at,
    exclusive: async (name, work) => {
      makeFolder(root);
      return withLock(path.join(root, `${name}.lock`), work);
    },
  };
}
