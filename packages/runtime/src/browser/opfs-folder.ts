// The model store's place in a browser: the origin's private file system (OPFS). Writing goes through synchronous access
// handles, which exist in dedicated workers only; looking, reading and deleting work on a page too. Reading goes through
// them as well where they are: 63 MB take 0.03 s, and 1 to 2.7 s as Blobs, which come by way of the browser's process.

import { RuntimeError, messageOf } from '../errors.ts';
import type { StoreFolder } from '../store/folder.ts';
import type { SyncFileHandle } from '../sync-access.ts';
import { ModelStore } from '../store/model-store.ts';

const ROOT = 'baton-models';

const MAY_GO = 'the browser may delete stored models when space gets short; they would be fetched again';
const STAYS = 'the browser keeps stored models until you delete them';
const REFUSED = `the browser does not promise to keep them: ${MAY_GO}`;
const CANNOT_PROMISE = `this browser makes no such promise: ${MAY_GO}`;

/** Whether this browser has a private file system (not in some private windows). */
export async function hasOpfs(): Promise<boolean> {
  try {
    await navigator.storage.getDirectory();
    return true;
  } catch {
    return false;
  }
}

/** The store of models in this browser. */
export function opfsStore(): ModelStore {
  return new ModelStore(opfsFolder());
}

/** Bytes used and allowed for this origin; null where the browser does not tell. */
export async function storeSpace(): Promise<{ used: number; quota: number } | null> {
  const { usage, quota } = (await navigator.storage?.estimate?.()) ?? {};
  return usage === undefined || quota === undefined ? null : { used: usage, quota };
}

/** On a page it has no such handles; some browsers do not move files. */
type WorkerFileHandle = FileSystemFileHandle &
  Partial<Pick<SyncFileHandle, 'createSyncAccessHandle'>> & {
    move?(parent: FileSystemDirectoryHandle, name: string): Promise<void>;
  };

/** A file found for reading. */
interface OpenFile {
  /** As many bytes as there are, up to `length`. */
  read(offset: number, length: number, spare?: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

async function openFile(handle: WorkerFileHandle): Promise<OpenFile> {
  // Absent on a page, refused while another tab writes or (in browsers without shared reading) reads it.
  const access = await handle.createSyncAccessHandle?.({ mode: 'read-only' }).catch(() => null);
  if (access)
    return {
      read: async (offset, length, spare = new Uint8Array(length)) =>
        spare.subarray(0, access.read(spare, { at: offset })),
      close: () => access.close(),
    };
  const file = await handle.getFile();
  return {
    read: async (offset, length) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer()),
    close: () => undefined,
  };
}

function opfsFolder(): StoreFolder {
  const root = async (): Promise<FileSystemDirectoryHandle> =>
    (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });
  const locate = async (
    path: string,
    create: boolean,
  ): Promise<{ parent: FileSystemDirectoryHandle; name: string }> => {
    const steps = path.split('/');
    const name = steps.pop()!;
    let parent = await root();
    for (const step of steps) parent = await parent.getDirectoryHandle(step, { create });
    return { parent, name };
  };
  const handle = async (path: string, create: boolean): Promise<WorkerFileHandle> => {
    const { parent, name } = await locate(path, create);
    return parent.getFileHandle(name, { create });
  };
  // Finding a file takes a question to the browser's process per folder and two more; a model is read in dozens of pieces.
  const found = new Map<string, Promise<OpenFile>>();
  const file = (path: string): Promise<OpenFile> => {
    const known = found.get(path);
    if (known) return known;
    const finding = handle(path, false).then(openFile);
    found.set(path, finding);
    finding.catch(() => found.delete(path));
    return finding;
  };
  const forget = (path: string): void => {
    const known = found.get(path);
    found.delete(path);
    known?.then(
      (open) => open.close(),
      () => undefined,
    );
  };
  const release = (): void => [...found.keys()].forEach(forget);
  return {
    size: (path) => orNull(async () => (await (await handle(path, false)).getFile()).size),
    read: async (path, offset, length, spare) => {
      const piece = async (): Promise<Uint8Array> => {
        const bytes = await (await file(path)).read(offset, length, spare);
        if (bytes.length === length) return bytes;
        throw new RuntimeError(
          'store',
          `${path} ends at byte ${offset + bytes.length}; ${offset + length} were expected`,
        );
      };
      const known = found.get(path);
      try {
        return await piece();
      } catch (error) {
        forget(path);
        // What was found before another tab wrote to it cannot be read any more.
        if (known) return piece();
        throw error;
      }
    },
    release,
    handle: async (path) => {
      const found = await handle(path, false);
      return found.createSyncAccessHandle ? found : null;
    },
    append: async (path, offset) => {
      release();
      const file = await handle(path, true);
      if (!file.createSyncAccessHandle)
        throw new RuntimeError('store', 'models are stored by a worker; this runs on a page');
      const access = await file.createSyncAccessHandle();
      try {
        access.truncate(offset);
      } catch (error) {
        access.close();
        throw error;
      }
      let position = offset;
      return {
        write: async (bytes) => {
          const written = access.write(bytes, { at: position });
          position += written;
          // A full disk shows as a short write in some browsers and as an exception in others.
          if (written !== bytes.length) throw new DOMException('the storage is full', 'QuotaExceededError');
        },
        close: async () => {
          try {
            access.flush();
          } finally {
            access.close();
          }
        },
      };
    },
    writeWhole: async (path, bytes) => {
      release();
      // Takes effect at close, as a whole.
      const stream = await (await handle(path, true)).createWritable();
      await stream.write(bytes as BufferSource);
      await stream.close();
    },
    rename: async (from, to) => {
      release();
      const file = await handle(from, false);
      const { parent, name } = await locate(to, true);
      if (file.move) return file.move(parent, name);
      const stream = await (await parent.getFileHandle(name, { create: true })).createWritable();
      await (await file.getFile()).stream().pipeTo(stream);
      const old = await locate(from, false);
      await old.parent.removeEntry(old.name);
    },
    remove: async (path) => {
      release();
      await orNull(async () => {
        const { parent, name } = await locate(path, false);
        await parent.removeEntry(name, { recursive: true });
      });
    },
    list: async (path) => {
      const names = await orNull(async () => {
        let folder = await root();
        for (const step of path === '' ? [] : path.split('/')) folder = await folder.getDirectoryHandle(step);
        return Array.fromAsync((folder as unknown as { keys(): AsyncIterable<string> }).keys());
      });
      return names ?? [];
    },
    free: async () => {
      const space = await storeSpace();
      return space && space.quota - space.used;
    },
    persistence: async (ask) => {
      const { storage } = navigator;
      // Workers may look, and only pages may ask.
      if (!storage?.persisted || (ask && !storage.persist))
        return { persisted: false, detail: CANNOT_PROMISE };
      const before = await storage.persisted();
      // Asking again could show a person the same question again.
      if (ask && !before) await storage.persist();
      const persisted = before || (ask && (await storage.persisted()));
      return { persisted, detail: persisted ? STAYS : ask ? REFUSED : MAY_GO };
    },
    exclusive: async (name, work) =>
      navigator.locks.request(`${ROOT}/${name}`, work) as ReturnType<typeof work>,
  };
}

async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (
      error instanceof DOMException &&
      (error.name === 'NotFoundError' || error.name === 'TypeMismatchError')
    )
      return null;
    throw new RuntimeError('store', `the browser's storage failed: ${messageOf(error)}`, { cause: error });
  }
}
