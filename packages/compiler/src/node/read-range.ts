// Exactly so many bytes of an open file; one read call gives at most 2 GB and may give less.
import type { FileHandle } from 'node:fs/promises';
import { CompileError } from '../errors.ts';

const MOST = 1 << 30;

export async function readRange(
  handle: FileHandle,
  name: string,
  offset: number,
  length: number,
  out: Uint8Array = new Uint8Array(length),
): Promise<Uint8Array> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(out, done, Math.min(MOST, length - done), offset + done);
    if (bytesRead === 0) {
      throw new CompileError(
        'source',
        `${name}: ends at byte ${offset + done}, ${offset + length} were expected`,
      );
    }
    done += bytesRead;
  }
  return out;
}
