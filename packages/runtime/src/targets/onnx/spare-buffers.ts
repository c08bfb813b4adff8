// Buffers of closed caches, kept for the next one of the same size: a new conversation every prompt would otherwise ask the
// system for megabytes of fresh pages, and V8, which counts them, collects garbage to find out whether they are needed (one
// full collection of 5 to 10 ms per prompt of 512 tokens, none with this).

import { discard, floatBuffer, type FloatBuffer } from './buffers.ts';

/** Two caches of 1024 slots of a model of 100 million weights, or one of 2048. */
const MOST_BYTES = 64 * 2 ** 20;

export class SpareBuffers {
  readonly #spare: FloatBuffer[] = [];
  #bytes = 0;

  /** Zeros, `size` numbers. */
  take(dtype: 'f32' | 'f16', size: number): FloatBuffer {
    const at = this.#spare.findIndex(
      (buffer) => buffer.length === size && buffer instanceof Float32Array === (dtype === 'f32'),
    );
    if (at < 0) return floatBuffer({ name: 'cache', dtype, dims: [size] });
    const buffer = this.#spare.splice(at, 1)[0]!;
    this.#bytes -= buffer.byteLength;
    // Graphs multiply slots that they mask by zero, which a number that is none would survive.
    return buffer.fill(0);
  }

  /** Takes a buffer that nobody reads or writes any more. What is kept longest makes room. */
  give(buffer: FloatBuffer): void {
    this.#spare.push(buffer);
    this.#bytes += buffer.byteLength;
    while (this.#bytes > MOST_BYTES) {
      const oldest = this.#spare.shift()!;
      this.#bytes -= oldest.byteLength;
      discard(oldest);
    }
  }
}
