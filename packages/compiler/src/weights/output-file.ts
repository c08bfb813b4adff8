// One output file with what the manifest says of it: its length and SHA-256, both taken while it is written. Writing goes on
// behind the caller's back, one piece at a time: the next slab is quantised while the last one is on its way to the disk.
import { createSHA256 } from 'hash-wasm';
import { CompileError } from '../errors.ts';
import type { FileWriter, Hasher, ModelSink } from '../files.ts';
import type { PositionedWriter } from './write-weights.ts';

export interface OutputEntry {
  path: string;
  bytes: number;
  sha256: string;
}

export class OutputFile implements PositionedWriter {
  readonly path: string;
  readonly #writer: FileWriter;
  readonly #hash: Hasher;
  #position = 0;
  #behind: Promise<void> = Promise.resolve();
  #copy = new Uint8Array(0);

  private constructor(path: string, writer: FileWriter, hash: Hasher) {
    this.path = path;
    this.#writer = writer;
    this.#hash = hash;
  }

  static async create(sink: ModelSink, path: string): Promise<OutputFile> {
    const hash = sink.sha256?.() ?? (await createSHA256()).init();
    return new OutputFile(path, await guard(path, sink.create(path)), hash);
  }

  get position(): number {
    return this.#position;
  }

  /** Takes a copy and returns; what went wrong with it is thrown by the next `write` or by `close`. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    await this.#behind;
    if (this.#copy.length < bytes.length) this.#copy = new Uint8Array(bytes.length);
    this.#copy.set(bytes);
    this.#behind = guard(this.path, this.#writer.write(this.#copy.subarray(0, bytes.length)));
    // It is looked at later; until then it must not count as unhandled.
    this.#behind.catch(() => undefined);
    this.#position += bytes.length;
  }

  async close(): Promise<void> {
    await this.#behind;
    await guard(this.path, this.#writer.close());
  }

  /** Length and hash of what was written; only after `close`. */
  entry(): OutputEntry {
    return { path: this.path, bytes: this.#position, sha256: this.#hash.digest() };
  }
}

async function guard<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CompileError(
      'sink',
      `cannot write ${path}: ${why}; nothing was kept. Free some space or choose another place`,
      { cause },
    );
  }
}
