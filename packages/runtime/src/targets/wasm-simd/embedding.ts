// The embedding table of a compiled model, which a pass needs a few rows of: they are read one by one until the table has
// followed the rest of the model into memory. At 100 M parameters that saves an opening a third of what it reads.
import { embeddingReader, type Manifest, type ModelFiles } from '@baton/compiler';
import { turnOfEventLoop } from '../../event-loop.ts';

/** Between two pieces whatever else the thread has to do gets its turn. */
const PIECE_BYTES = 1 << 20;

export class FollowingEmbedding {
  readonly #manifest: Manifest;
  readonly #files: ModelFiles;
  /** Until the table is there: what has been asked for. */
  readonly #rows = new Map<number, Float32Array>();
  #table: ReturnType<typeof embeddingReader> | null = null;
  #closed = false;

  constructor(manifest: Manifest, files: ModelFiles) {
    this.#manifest = manifest;
    this.#files = files;
  }

  /** Makes `embed` possible for these tokens; nothing is left to do once the table is there. Rejects as reading does. */
  prepare(tokens: readonly number[]): Promise<void> | undefined {
    const missing = this.#table ? [] : tokens.filter((token) => !this.#rows.has(token));
    if (missing.length === 0) return undefined;
    return Promise.all(missing.map((token) => this.#read(token))).then(() => undefined);
  }

  embed(token: number, out: Float32Array): void {
    if (this.#table) this.#table(token, out, 0);
    else out.set(this.#rows.get(token)!);
  }

  /** Reads the table; where that fails rows go on to be read one by one. */
  async follow(): Promise<void> {
    const { numbers, scales } = this.#stretches();
    const whole = async ({ offset, bytes }: { offset: number; bytes: number }): Promise<Uint8Array> => {
      const all = new Uint8Array(bytes);
      for (let at = 0; at < bytes && !this.#closed; at += PIECE_BYTES) {
        const into = all.subarray(at, at + PIECE_BYTES);
        const read = await this.#files.read(this.#tensor.file, offset + at, into.length, into);
        if (read.buffer !== all.buffer) into.set(read);
        await turnOfEventLoop();
      }
      return all;
    };
    try {
      const data = await whole(numbers);
      const table = embeddingReader(this.#manifest, data, await whole(scales));
      if (this.#closed) return;
      this.#table = table;
      this.#rows.clear();
    } catch {
      // What is wrong with the file is said to whoever asks for a row that cannot be read.
    } finally {
      this.#files.release?.();
    }
  }

  close(): void {
    this.#closed = true;
  }

  get #tensor(): Manifest['tensors'][string] {
    return this.#manifest.tensors[this.#manifest.embedding.tensor]!;
  }

  #stretches(): Record<'numbers' | 'scales', { offset: number; bytes: number }> {
    const { offset, bytes, scales = { offset: 0, bytes: 0 } } = this.#tensor;
    return { numbers: { offset, bytes }, scales };
  }

  async #read(token: number): Promise<void> {
    const rows = this.#tensor.dims[0]!;
    const row = async ({ offset, bytes }: { offset: number; bytes: number }): Promise<Uint8Array> =>
      bytes === 0
        ? new Uint8Array(0)
        : this.#files.read(this.#tensor.file, offset + (bytes / rows) * token, bytes / rows);
    const { numbers, scales } = this.#stretches();
    const out = new Float32Array(this.#manifest.architecture.hiddenSize);
    embeddingReader(this.#manifest, await row(numbers), await row(scales))(0, out, 0);
    // The table may have come meanwhile.
    if (!this.#table) this.#rows.set(token, out);
  }
}
