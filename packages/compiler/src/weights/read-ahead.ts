// Slabs of checkpoint rows in the order in which they will be written, a few of them already under way: reading (a disk, a
// network) and quantising overlap, and a remote checkpoint's many small tensors do not cost one round trip each.
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { PlacedTensor } from './layout.ts';

/** 16 MB of f32 per slab. */
const SLAB_ELEMENTS = 4 * 1024 * 1024;
/** Slabs under way beside the one in work: at most 64 MB of f32, and enough for 30 small tensors a second at 130 ms each. */
const DEPTH = 4;

export interface Slab {
  placed: PlacedTensor;
  firstRow: number;
  rows: number;
}

/** The slabs of one tensor. */
export function slabsOf(placed: PlacedTensor): Slab[] {
  const rows = placed.source.dims[0]!;
  const perSlab = Math.max(1, Math.floor(SLAB_ELEMENTS / (placed.source.dims[1] ?? 1)));
  return Array.from({ length: Math.ceil(rows / perSlab) }, (_, i) => {
    return { placed, firstRow: i * perSlab, rows: Math.min(perSlab, rows - i * perSlab) };
  });
}

/** Gives the slabs of `tensors` as f32, one after the other. */
export class ReadAhead {
  readonly #checkpoint: Checkpoint;
  readonly #slabs: readonly Slab[];
  readonly #pending: Promise<Float32Array>[] = [];
  #started = 0;

  constructor(checkpoint: Checkpoint, tensors: readonly PlacedTensor[]) {
    this.#checkpoint = checkpoint;
    this.#slabs = tensors.flatMap(slabsOf);
  }

  /** The next slab's values, the family's offset added. */
  next(): Promise<Float32Array> {
    while (this.#pending.length <= DEPTH && this.#started < this.#slabs.length) {
      const read = this.#read(this.#slabs[this.#started++]!);
      // A failure is reported when its turn comes; until then it must not count as unhandled.
      read.catch(() => {});
      this.#pending.push(read);
    }
    return this.#pending.shift()!;
  }

  async #read({ placed: { source }, firstRow, rows }: Slab): Promise<Float32Array> {
    const stored = this.#checkpoint.tensor(source.tensor);
    const values = await this.#checkpoint.rows(stored, source.firstRow + firstRow, rows);
    if (source.add !== 0) for (let i = 0; i < values.length; i++) values[i]! += source.add;
    return values;
  }
}
