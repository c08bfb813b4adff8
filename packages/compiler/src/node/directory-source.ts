// A checkpoint in a folder.
import { open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { CompileError } from '../errors.ts';
import type { CheckpointSource } from '../files.ts';
import { readRange } from './read-range.ts';

/** Lists the folder's own files (no sub-folders: checkpoints have none that matter). */
export class DirectorySource implements CheckpointSource {
  readonly name: string;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = path.resolve(directory);
    this.name = path.basename(this.#directory);
  }

  async list(): Promise<readonly string[]> {
    try {
      const entries = await readdir(this.#directory, { withFileTypes: true });
      return entries.filter((e) => !e.isDirectory()).map((e) => e.name);
    } catch (cause) {
      throw new CompileError(
        'source',
        `${this.#directory}: not a readable folder (${(cause as Error).message})`,
        { cause },
      );
    }
  }

  async size(file: string): Promise<number> {
    return (await stat(path.join(this.#directory, file))).size;
  }

  async read(file: string, offset: number, length: number, spare?: Uint8Array): Promise<Uint8Array> {
    const handle = await open(path.join(this.#directory, file));
    try {
      return await readRange(handle, file, offset, length, spare);
    } finally {
      await handle.close();
    }
  }
}
