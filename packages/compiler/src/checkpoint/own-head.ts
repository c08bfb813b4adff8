// Whether a checkpoint whose config.json may tie head and embedding stores a head that differs all the same, as left behind by
// tools that train the head and do not change the configuration. transformers compares the values and then leaves the two
// apart (modeling_utils.py: tie_weights, 5.18); copies are common, because older exports store both.
import type { Checkpoint } from './checkpoint.ts';
import type { StoredTensor } from './safetensors.ts';
import { headName, tableNames } from './text-names.ts';

/** Read of either at a time. Tables that differ do so at once; copies are read to their ends. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** False too where nothing is to be compared: one of the two is not stored, or config.json says that they are apart. */
export async function hasOwnHead(checkpoint: Checkpoint): Promise<boolean> {
  const tables = tableNames(checkpoint);
  const head = checkpoint.tensors.get(headName(checkpoint));
  if (!head || tables.length !== 1) return false;
  const config = await checkpoint.json('config.json');
  if (config?.['tie_word_embeddings'] === false) return false;
  return !(await areEqual(checkpoint, head, checkpoint.tensor(tables[0]!)));
}

async function areEqual(checkpoint: Checkpoint, a: StoredTensor, b: StoredTensor): Promise<boolean> {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  const rows = a.shape[0] ?? 0;
  const perPiece = Math.max(1, Math.floor((PIECE_BYTES * rows) / a.bytes));
  let pieces: readonly Uint8Array[] = [];
  for (let first = 0; first < rows; first += perPiece) {
    const count = Math.min(perPiece, rows - first);
    const read = (t: StoredTensor, i: number) =>
      checkpoint.rows(t, first, count, (length) => pieces[i]?.subarray(0, length));
    pieces = await Promise.all([a, b].map(read));
    if (!haveSameBytes(pieces[0]!, pieces[1]!)) return false;
  }
  return true;
}

function haveSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  // A loop, because `every` with a callback takes seconds for each gigabyte.
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
