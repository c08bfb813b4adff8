// A compiled model in a folder.
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import type { ModelFiles } from '../files.ts';
import { readRange } from './read-range.ts';

export class DirectoryFiles implements ModelFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = path.resolve(directory);
  }

  async size(file: string): Promise<number> {
    return (await stat(path.join(this.directory, file))).size;
  }

  async read(file: string, offset = 0, length?: number, spare?: Uint8Array): Promise<Uint8Array> {
    const handle = await open(path.join(this.directory, file));
    try {
      return await readRange(handle, file, offset, length ?? (await handle.stat()).size - offset, spare);
    } finally {
      await handle.close();
    }
  }
}
