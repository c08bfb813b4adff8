// Compiled models kept in a StoreFolder: downloaded file by file and checked, or written by the compiler. A model is
// there when its baton.json is, and that is written last; everything else is a part that can be continued or deleted.

import {
  MANIFEST_FILE,
  parseManifest,
  type Manifest,
  type ModelFiles,
  type ModelSink,
} from '@baton/compiler';
import { sha256 } from 'hash-wasm';
import { RuntimeError, isAbort, messageOf } from '../errors.ts';
import { downloadFile, PART, type DownloadOptions } from './download.ts';
import type { Persistence, StoreFolder } from './folder.ts';
import { PATIENCE_MS, withPatience } from './patience.ts';

export interface StoredModel {
  /** Name in the store, for open and delete. */
  name: string;
  /** The model's id; null while it is incomplete. */
  id: string | null;
  complete: boolean;
  bytes: number;
  /** Where it came from. */
  source: string | null;
}

export interface DownloadProgress {
  file: string;
  done: number;
  total: number;
  bytesPerSecond: number;
  /** null until there is a speed to tell it from. */
  remainingMs: number | null;
}

const SOURCE_FILE = 'source.json';
/** Below this the speed would only jump about. */
const SETTLE_MS = 500;

export class ModelStore {
  readonly #folder: StoreFolder;

  constructor(folder: StoreFolder) {
    this.#folder = folder;
  }

  /**
   * The model at `url` (the folder that holds baton.json), downloaded where it is not here yet. Goes on with what an
   * earlier try left. When the address cannot be reached, the stored model from there is used. Throws `store`.
   */
  async download(
    url: string,
    options: Omit<DownloadOptions, 'onBytes'> & { onProgress?: (p: DownloadProgress) => void } = {},
  ): Promise<ModelFiles> {
    const base = url.endsWith('/') ? url : `${url}/`;
    let text: string;
    try {
      text = await fetchText(new URL(MANIFEST_FILE, base).href, options);
    } catch (error) {
      if (isAbort(error)) throw error;
      const stored = (await this.list()).find((m) => m.complete && m.source === base);
      if (stored) return this.open(stored.name);
      throw error;
    }
    const manifest = parseManifest(text);
    const name = `${safeName(manifest.id)}-${(await sha256(text)).slice(0, 16)}`;
    return this.#folder.exclusive(name, async () => {
      if (await this.#isComplete(name)) {
        if (await this.#isWhole(name, manifest)) return this.open(name);
        // Something outside the store has cut or removed a file: it is no complete model until that is here again.
        await this.#folder.remove(`${name}/${MANIFEST_FILE}`);
      }
      await this.#checkSpace(name, manifest);
      await this.#folder.writeWhole(`${name}/${SOURCE_FILE}`, encode(JSON.stringify({ source: base })));
      await this.#downloadAll(name, base, manifest, options);
      await this.#folder.writeWhole(`${name}/${MANIFEST_FILE}`, encode(text));
      await this.#removeOlder(name, base);
      return this.open(name);
    });
  }

  /** The stored model made from `source` under `key`, or what `make` writes into the sink it is given. */
  async make(key: string, source: string, make: (sink: ModelSink) => Promise<void>): Promise<ModelFiles> {
    const name = `made-${(await sha256(key)).slice(0, 24)}`;
    return this.#folder.exclusive(name, async () => {
      if (await this.#isComplete(name)) {
        const manifest = new TextDecoder().decode(await this.open(name).read(MANIFEST_FILE));
        if (await this.#isWhole(name, parseManifest(manifest))) return this.open(name);
      }
      await this.#folder.remove(name);
      await this.#folder.writeWhole(`${name}/${SOURCE_FILE}`, encode(JSON.stringify({ source })));
      await make(this.#sink(name));
      await this.#removeOlder(name, source);
      return this.open(name);
    });
  }

  /** Files of a complete model. */
  open(name: string): ModelFiles {
    const at = (path: string): string => `${name}/${path}`;
    const size = async (path: string): Promise<number> => {
      const bytes = await this.#folder.size(at(path));
      if (bytes === null)
        throw new RuntimeError(
          'bad-model',
          `the stored model ${name} has no ${path}; delete it and load it again`,
        );
      return bytes;
    };
    const { disk, handle, release } = this.#folder;
    return {
      size,
      read: async (path, offset = 0, length, spare) =>
        this.#folder.read(at(path), offset, length ?? (await size(path)) - offset, spare),
      ...(disk ? { directory: disk(name) } : {}),
      ...(handle ? { handle: (path: string) => handle(at(path)) } : {}),
      ...(release ? { release } : {}),
    };
  }

  async list(): Promise<StoredModel[]> {
    const names = await this.#folder.list('');
    const models = await Promise.all(names.map((name) => this.#describe(name)));
    this.#folder.release?.();
    return models;
  }

  /** Asks for stored models to be kept until they are deleted; the answer is what holds afterwards. On a page only. */
  persist(): Promise<Persistence> {
    return this.#folder.persistence(true);
  }

  /** The same without asking. */
  persisted(): Promise<Persistence> {
    return this.#folder.persistence(false);
  }

  async delete(name: string): Promise<void> {
    await this.#folder.exclusive(name, () => this.#folder.remove(name));
  }

  async #downloadAll(
    name: string,
    base: string,
    manifest: Manifest,
    options: DownloadOptions & { onProgress?: (p: DownloadProgress) => void },
  ): Promise<void> {
    const total = manifest.files.reduce((n, f) => n + f.bytes, 0);
    const began = performance.now();
    let done = 0;
    let fetched = 0;
    const report = (file: string): void => {
      const elapsed = performance.now() - began;
      const bytesPerSecond = elapsed > 0 ? (fetched / elapsed) * 1000 : 0;
      const known = elapsed > SETTLE_MS && fetched > 0;
      options.onProgress?.({
        file,
        done,
        total,
        bytesPerSecond,
        remainingMs: known ? ((total - done) / bytesPerSecond) * 1000 : null,
      });
    };
    for (const { path, bytes, sha256: hash } of manifest.files) {
      const target = `${name}/${path}`;
      if ((await this.#folder.size(target)) === bytes) {
        done += bytes;
        report(path);
        continue;
      }
      let first = true;
      const file = { url: new URL(path, base).href, path: target, bytes, sha256: hash };
      await downloadFile(this.#folder, file, {
        ...options,
        onBytes: (n) => {
          done += n;
          // The first call is what an earlier try left; it says nothing about the speed.
          if (!first) fetched += n;
          first = false;
          report(path);
        },
      });
    }
  }

  async #checkSpace(name: string, manifest: Manifest): Promise<void> {
    const free = await this.#folder.free();
    if (free === null) return;
    let need = 0;
    for (const { path, bytes } of manifest.files) {
      const here =
        (await this.#folder.size(`${name}/${path}`)) ??
        (await this.#folder.size(`${name}/${path}${PART}`)) ??
        0;
      need += Math.max(0, bytes - here);
    }
    if (need > free) throw tooLarge(manifest.id, need, free);
  }

  #sink(name: string): ModelSink {
    let manifest: Uint8Array | null = null;
    // A browser does not remove a file that is still open.
    const open = new Set<{ close(): Promise<void> }>();
    return {
      expect: async (bytes) => {
        const free = await this.#folder.free();
        if (free !== null && bytes > free) throw tooLarge('the compiled model', bytes, free);
      },
      create: async (path) => {
        if (path !== MANIFEST_FILE) {
          const writer = await this.#folder.append(`${name}/${path}`, 0);
          open.add(writer);
          return {
            write: (bytes) => writer.write(bytes),
            close: async () => {
              open.delete(writer);
              await writer.close();
            },
          };
        }
        const parts: Uint8Array[] = [];
        return {
          write: async (bytes) => void parts.push(bytes.slice()),
          close: async () =>
            void (manifest = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer())),
        };
      },
      commit: async () => {
        if (!manifest) throw new RuntimeError('store', `the compiler wrote no ${MANIFEST_FILE}`);
        await this.#folder.writeWhole(`${name}/${MANIFEST_FILE}`, manifest);
      },
      abort: async () => {
        for (const writer of open) await writer.close().catch(() => undefined);
        await this.#folder.remove(name);
      },
    };
  }

  async #isComplete(name: string): Promise<boolean> {
    return (await this.#folder.size(`${name}/${MANIFEST_FILE}`)) !== null;
  }

  /** Every file has its length. Contents were checked when they came; to hash them at every opening would double its time. */
  async #isWhole(name: string, manifest: Manifest): Promise<boolean> {
    const sizes = await Promise.all(manifest.files.map(({ path }) => this.#folder.size(`${name}/${path}`)));
    return manifest.files.every(({ bytes }, i) => sizes[i] === bytes);
  }

  async #describe(name: string): Promise<StoredModel> {
    const files = await this.#folder.list(name);
    const sizes = await Promise.all(files.map((f) => this.#folder.size(`${name}/${f}`)));
    const complete = files.includes(MANIFEST_FILE);
    const read = async (file: string): Promise<unknown> => {
      const at = files.indexOf(file);
      return at < 0
        ? {}
        : JSON.parse(new TextDecoder().decode(await this.#folder.read(`${name}/${file}`, 0, sizes[at]!)));
    };
    const { source = null } = (await read(SOURCE_FILE)) as { source?: string };
    const { id = null } = complete ? ((await read(MANIFEST_FILE)) as { id?: string }) : {};
    return { name, id, complete, source, bytes: sizes.reduce<number>((n, s) => n + (s ?? 0), 0) };
  }

  /** Other versions from the same address are of no more use. */
  async #removeOlder(name: string, source: string): Promise<void> {
    for (const model of await this.list()) {
      if (model.source === source && model.name !== name) await this.#folder.remove(model.name);
    }
  }
}

function tooLarge(what: string, need: number, free: number): RuntimeError {
  return new RuntimeError(
    'store',
    `${what} needs ${megabytes(need)} more, and ${megabytes(free)} are free here; delete a stored model or free some space`,
  );
}

async function fetchText(
  url: string,
  { signal, patienceMs = PATIENCE_MS }: DownloadOptions,
): Promise<string> {
  let response: Response;
  let text: string;
  try {
    [response, text] = await withPatience(patienceMs, signal, async (signal, wait) => {
      const response = await wait(fetch(url, { signal }));
      return [response, await wait(response.text())];
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new RuntimeError(
      'store',
      `${url} cannot be reached (${messageOf(error)}); check the address and the connection`,
      { cause: error },
    );
  }
  if (!response.ok) throw new RuntimeError('store', `${url} answered ${response.status}; check the address`);
  return text;
}

function safeName(id: string): string {
  return id.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, 64);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;
}
