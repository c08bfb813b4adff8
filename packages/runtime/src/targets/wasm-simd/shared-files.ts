// Files that compute threads read themselves: a path on disk in Node, a handle of the private file system in a browser.
import type { ModelFiles } from '@baton/compiler';
import type { SyncFileHandle } from '../../sync-access.ts';
import type { ReadStretch } from './pieces.ts';

/** By the names in the manifest. */
export type SharedFiles = Readonly<Record<string, string | FileSystemFileHandle>>;

type Read = (into: Uint8Array, at: number) => number;

/** What threads need to read these files; null where only the host can, through `files`. */
export async function shareFiles(names: Iterable<string>, files: ModelFiles): Promise<SharedFiles | null> {
  const shared: Record<string, string | FileSystemFileHandle> = {};
  for (const name of new Set(names)) {
    const found = files.directory === undefined ? await files.handle?.(name) : `${files.directory}/${name}`;
    if (!found || !(await severalCanRead(found))) return null;
    shared[name] = found;
  }
  return shared;
}

/** Browsers that do not know the mode give one handle at a time. */
async function severalCanRead(file: string | FileSystemFileHandle): Promise<boolean> {
  if (typeof file === 'string') return true;
  try {
    const access = await (file as SyncFileHandle).createSyncAccessHandle({ mode: 'read-only' });
    access.close();
    return access.mode === 'read-only';
  } catch {
    return false;
  }
}

/** Opens the files in this thread. The reader throws where a file is shorter than it should be. */
export async function openShared(files: SharedFiles): Promise<{ read: ReadStretch; close(): void }> {
  const open = new Map<string, { read: Read; close(): void }>();
  const close = (): void => open.forEach((file) => file.close());
  try {
    for (const [name, file] of Object.entries(files))
      open.set(name, typeof file === 'string' ? onDisk(file) : await inBrowser(file));
  } catch (error) {
    close();
    throw error;
  }
  const read: ReadStretch = ({ file, offset, bytes }, into) => {
    for (let done = 0; done < bytes;) {
      const got = open.get(file)!.read(into.subarray(done), offset + done);
      if (got === 0)
        throw new Error(`${file} ends at byte ${offset + done}; ${offset + bytes} were expected`);
      done += got;
    }
  };
  return { read, close };
}

function onDisk(path: string): { read: Read; close(): void } {
  const { openSync, readSync, closeSync } = process.getBuiltinModule('node:fs');
  const file = openSync(path, 'r');
  return { read: (into, at) => readSync(file, into, 0, into.length, at), close: () => closeSync(file) };
}

async function inBrowser(handle: FileSystemFileHandle): Promise<{ read: Read; close(): void }> {
  const access = await (handle as SyncFileHandle).createSyncAccessHandle({ mode: 'read-only' });
  return { read: (into, at) => access.read(into, { at }), close: () => access.close() };
}
