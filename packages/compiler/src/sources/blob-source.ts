// A checkpoint as Files or Blobs: what a file picker, a drop or a lazily downloaded file gives. Ranges are slices, so a
// file on disk is never loaded whole.
import { CompileError } from '../errors.ts';
import type { CheckpointSource } from '../files.ts';

export interface NamedBlob {
  name: string;
  blob: Blob;
}

/** `files` by their bare names; folders in a File's relative path are dropped. Throws `bad-checkpoint` for two of a name. */
export function blobSource(name: string, files: readonly (File | NamedBlob)[]): CheckpointSource {
  const blobs = new Map<string, Blob>();
  for (const file of files) {
    const path = file.name.split('/').pop()!;
    if (blobs.has(path)) throw new CompileError('bad-checkpoint', `${name}: two files are named ${path}`);
    blobs.set(path, 'blob' in file ? file.blob : file);
  }
  const find = (path: string): Blob => {
    const blob = blobs.get(path);
    if (!blob) throw new CompileError('missing', `${name}: no file ${path}`);
    return blob;
  };
  return {
    name,
    list: async () => [...blobs.keys()],
    size: async (path) => find(path).size,
    async read(path, offset, length) {
      const part = await readBlob(find(path).slice(offset, offset + length), path);
      if (part.length === length) return part;
      throw new CompileError(
        'source',
        `${path}: ends at byte ${offset + part.length}, ${offset + length} were expected`,
      );
    },
  };
}

async function readBlob(blob: Blob, path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CompileError(
      'source',
      `${path}: cannot be read (${why}); was it moved or changed since it was chosen?`,
      { cause },
    );
  }
}
