// A compiled model held in memory: the sink a compiler writes to and the files a runtime reads. For small models, and
// where a browser gives no storage.

import type { ModelFiles, ModelSink } from '@baton/compiler';
import { RuntimeError } from './errors.ts';

export class MemoryModel implements ModelSink, ModelFiles {
  readonly #written = new Map<string, Uint8Array[]>();
  readonly #files = new Map<string, Uint8Array>();

  async create(path: string): Promise<{ write(bytes: Uint8Array): Promise<void>; close(): Promise<void> }> {
    const parts: Uint8Array[] = [];
    this.#written.set(path, parts);
    return {
      // The caller may reuse its buffer.
      write: async (bytes) => void parts.push(bytes.slice()),
      close: async () => undefined,
    };
  }

  async commit(): Promise<void> {
    for (const [path, parts] of this.#written) {
      const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
      let at = 0;
      for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
      }
      this.#files.set(path, bytes);
    }
    this.#written.clear();
  }

  async abort(): Promise<void> {
    this.#written.clear();
  }

  async read(path: string, offset = 0, length?: number): Promise<Uint8Array> {
    const bytes = this.#file(path);
    const end = length === undefined ? bytes.length : offset + length;
    if (end > bytes.length)
      throw new RuntimeError('bad-model', `${path} has ${bytes.length} bytes; ${end} were expected`);
    return bytes.subarray(offset, end);
  }

  async size(path: string): Promise<number> {
    return this.#file(path).length;
  }

  #file(path: string): Uint8Array {
    const bytes = this.#files.get(path);
    if (!bytes) throw new RuntimeError('bad-model', `the model has no file ${path}`);
    return bytes;
  }
}
