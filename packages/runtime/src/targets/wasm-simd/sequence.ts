// One KV cache in the heap: checks what it is asked, keeps its place, and leaves the computing to the backend.
import type { ForwardResult, Sequence, Wanted } from '../../backend.ts';
import { moveRows, turnBack } from './cache-move.ts';
import type { Heap } from './heap.ts';
import type { Kernels } from './kernels.ts';
import type { CacheLayout, Plan } from './plan.ts';
import { cacheLayout } from './plan.ts';
import type { Pass } from './program.ts';

type Exclusive = <T>(work: () => Promise<T>) => Promise<T>;
type Forward = (
  tokens: readonly number[],
  pass: Pick<Pass, 'tokens' | 'position' | 'cache'>,
  wanted: Wanted,
  /** Memory for one row of logits. */
  kept: () => Float32Array,
) => Promise<ForwardResult>;

export class HeapSequence implements Sequence {
  readonly #heap: Heap;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #exclusive: Exclusive;
  readonly #forward: Forward;
  #capacity: number;
  #cache: CacheLayout;
  #closed = false;
  /** The last row asked for. Taken anew for every token, memory for 152k logits cost 2 to 3 of 17 ms (494 M int4 weights). */
  #row: Float32Array | null = null;

  constructor(
    heap: Heap,
    kernels: Kernels,
    plan: Plan,
    capacity: number,
    exclusive: Exclusive,
    forward: Forward,
  ) {
    this.#heap = heap;
    this.#kernels = kernels;
    this.#plan = plan;
    this.#exclusive = exclusive;
    this.#forward = forward;
    this.#capacity = capacity;
    this.#cache = allocateCache(heap, plan, capacity);
  }

  get capacity(): number {
    return this.#capacity;
  }

  forward(tokens: readonly number[], position: number, wanted: Wanted): Promise<ForwardResult> {
    return this.#exclusive(async () => {
      this.#open();
      const { maxRows, vocabulary } = this.#plan;
      if (tokens.length < 1 || tokens.length > maxRows) {
        throw new RangeError(`wasm-simd: forward takes 1 to ${maxRows} tokens, got ${tokens.length}`);
      }
      if (position < 0 || position + tokens.length > this.#capacity) {
        throw new RangeError(
          `wasm-simd: slots ${position} .. ${position + tokens.length - 1} are outside the cache of ${this.#capacity}`,
        );
      }
      const wrong = tokens.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary));
      if (wrong !== undefined)
        throw new RangeError(`wasm-simd: token ${wrong} is outside the vocabulary of ${vocabulary}`);
      const pass = { tokens: tokens.length, position, cache: this.#cache };
      return this.#forward(tokens, pass, wanted, () => (this.#row ??= new Float32Array(vocabulary)));
    });
  }

  resize(capacity: number, live: number): Promise<void> {
    return this.#exclusive(async () => {
      this.#open();
      const next = allocateCache(this.#heap, this.#plan, capacity);
      moveRows(this.#heap, this.#plan, this.#cache, next, { first: 0, to: 0, count: live });
      this.#release();
      this.#cache = next;
      this.#capacity = capacity;
    });
  }

  evict(from: number, count: number, live: number): Promise<void> {
    return this.#exclusive(async () => {
      this.#open();
      if (from < 0 || count < 1 || from + count > live || live > this.#capacity) {
        throw new RangeError(
          `wasm-simd: cannot drop slots ${from} .. ${from + count - 1} of ${live} (capacity ${this.#capacity})`,
        );
      }
      const moved = live - from - count;
      moveRows(this.#heap, this.#plan, this.#cache, this.#cache, {
        first: from + count,
        to: from,
        count: moved,
      });
      turnBack(this.#heap, this.#kernels, this.#plan, this.#cache, {
        first: from,
        count: moved,
        positions: count,
      });
    });
  }

  async close(): Promise<void> {
    await this.#exclusive(async () => {
      if (this.#closed) return;
      this.#closed = true;
      this.#release();
    });
  }

  #open(): void {
    if (this.#closed) throw new Error('wasm-simd: the sequence is closed');
  }

  #release(): void {
    this.#heap.release(this.#cache.base, this.#cache.layerBytes * this.#plan.layers.length);
  }
}

function allocateCache(heap: Heap, plan: Plan, capacity: number): CacheLayout {
  const { layerBytes } = cacheLayout(plan, 0, capacity);
  return cacheLayout(plan, heap.allocate(layerBytes * plan.layers.length), capacity);
}
