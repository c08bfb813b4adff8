// A file replaced as a whole: a reader, and a crash, see the old contents or the new, never a part.

import { rename, rm, writeFile } from 'node:fs/promises';

/** One process may write one file twice at once. */
let written = 0;

/** Its folder must exist. Leaves nothing beside the file where it fails. */
export async function writeWhole(file: string, contents: string | Uint8Array): Promise<void> {
  const unfinished = `${file}.${process.pid}-${written++}.tmp`;
  try {
    await writeFile(unfinished, contents);
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
