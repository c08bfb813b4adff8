// One output file with what the manifest says of it: its length and SHA-256, both taken while it is written.
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

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    await guard(this.path, this.#writer.write(bytes));
    this.#position += bytes.length;
  }

  async close(): Promise<void> {
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
