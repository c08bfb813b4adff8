// Reads a model's files in large pieces while it is opened. A target asks for some hundred tensors, and every read costs
// several turns between threads or processes (opening and closing a file, a Blob of the browser's private file system, a
// request), which together took longer than the bytes.

import type { ModelFiles } from '@baton/compiler';

/** Bytes of one piece; pieces overlap by half, so that every smaller read lies in one. */
const PIECE = 8 << 20;
/** Pieces held of a file: reads of one layer are made at the same time and are not all in order. */
const HELD = 3;

interface Piece {
  from: number;
  to: number;
  bytes: Promise<Uint8Array>;
}

export interface AheadFiles extends ModelFiles {
  /** Lets go of what was read ahead. */
  drop(): void;
}

/** `files`, read ahead. What a read gives is the caller's own. */
export function readAhead(files: ModelFiles): AheadFiles {
  const held = new Map<string, Piece[]>();
  const sizes = new Map<string, Promise<number>>();
  const size = (path: string): Promise<number> => {
    let known = sizes.get(path);
    if (!known) {
      known = files.size(path);
      sizes.set(path, known);
      known.catch(() => sizes.delete(path));
    }
    return known;
  };
  return {
    ...(files.directory === undefined ? {} : { directory: files.directory }),
    size,
    read: async (path, offset = 0, length) => {
      if (length === undefined || length > PIECE / 2) return files.read(path, offset, length);
      const end = await size(path);
      // Beyond the end: the files say what is wrong.
      if (offset + length > end) return files.read(path, offset, length);
      const pieces = held.get(path) ?? [];
      let piece = pieces.find(({ from, to }) => offset >= from && offset + length <= to);
      if (!piece) {
        const from = offset - (offset % (PIECE / 2));
        const to = Math.min(end, from + PIECE);
        piece = { from, to, bytes: files.read(path, from, to - from) };
        piece.bytes.catch(() => held.delete(path));
        held.set(path, [...pieces, piece].slice(-HELD));
      }
      const bytes = await piece.bytes;
      return bytes.slice(offset - piece.from, offset - piece.from + length);
    },
    drop: () => held.clear(),
  };
}
