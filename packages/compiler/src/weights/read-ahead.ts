// Slabs of checkpoint rows in the order in which they will be written, a few of them already under way: reading (a disk, a
// network) and quantising overlap, and a remote checkpoint's many small tensors do not cost one round trip each.
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { CheckpointDtype } from '../checkpoint/safetensors.ts';
import type { PlacedTensor } from './layout.ts';

/** 8 MB of a two-byte checkpoint per slab. */
const SLAB_ELEMENTS = 4 * 1024 * 1024;
/** Smaller buffers are not worth keeping. */
const SPARE_BYTES = 1024 * 1024;

/** Slabs under way beside the one in work: 32 MB, and enough for 30 small tensors a second at 130 ms each. */
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

/** A slab's elements as the checkpoint has them. */
export interface SlabContent {
  bytes: Uint8Array;
  dtype: CheckpointDtype;
}

/** Bytes of the checkpoint that a tensor's slabs hold together. */
export function readBytes(checkpoint: Checkpoint, { source }: PlacedTensor): number {
  const stored = checkpoint.tensor(source.tensor);
  return (stored.bytes / stored.shape[0]!) * source.dims[0]!;
}

/** Gives the slabs of `tensors`, one after the other. */
export class ReadAhead {
  readonly #checkpoint: Checkpoint;
  readonly #slabs: readonly Slab[];
  readonly #pending: Promise<SlabContent>[] = [];
  readonly #spare: Uint8Array[] = [];
  #started = 0;

  constructor(checkpoint: Checkpoint, tensors: readonly PlacedTensor[]) {
    this.#checkpoint = checkpoint;
    this.#slabs = tensors.flatMap(slabsOf);
  }

  next(): Promise<SlabContent> {
    while (this.#pending.length <= DEPTH && this.#started < this.#slabs.length) {
      const read = this.#read(this.#slabs[this.#started++]!);
      // A failure is reported when its turn comes; until then it must not count as unhandled.
      read.catch(() => {});
      this.#pending.push(read);
    }
    return this.#pending.shift()!;
  }

  /** Takes back the bytes of a slab that nobody looks at any more, for a later one. */
  done({ bytes }: SlabContent): void {
    const whole = new Uint8Array(bytes.buffer);
    if (whole.length >= SPARE_BYTES && this.#spare.length <= DEPTH) this.#spare.push(whole);
  }

  #takeSpare(length: number): Uint8Array | undefined {
    const at = this.#spare.findIndex((buffer) => buffer.length >= length);
    if (at < 0 || length < SPARE_BYTES) return undefined;
    return this.#spare.splice(at, 1)[0]!.subarray(0, length);
  }

  async #read({ placed: { source }, firstRow, rows }: Slab): Promise<SlabContent> {
    const stored = this.#checkpoint.tensor(source.tensor);
    const bytes = await this.#checkpoint.rows(stored, source.firstRow + firstRow, rows, (length) =>
      this.#takeSpare(length),
    );
    return { bytes, dtype: stored.dtype };
  }
}
