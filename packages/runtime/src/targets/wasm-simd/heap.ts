// The one WebAssembly memory that holds weights, caches and working rows. Blocks are handed out in order; caches come and
// go, so freed ones are kept for the next request of the same size.
import { CONSTANT_BYTES, CONTROL_BYTES } from './control.ts';

const PAGE = 65536;
const MOST_PAGES = 65536; // 4 GiB, the reach of 32-bit addresses

export class Heap {
  readonly memory: WebAssembly.Memory;
  #next = CONTROL_BYTES + CONSTANT_BYTES;
  readonly #free = new Map<number, number[]>();

  /** Throws RangeError where the platform refuses the memory. */
  constructor(shared: boolean) {
    // Shared memory must state its maximum; it reserves addresses, not memory.
    this.memory = new WebAssembly.Memory(
      shared ? { initial: 2, maximum: MOST_PAGES, shared: true } : { initial: 2, maximum: MOST_PAGES },
    );
  }

  get bytes(): number {
    return this.#next;
  }

  /** Address of `bytes` fresh bytes, a multiple of 64. Zeroed, unless a freed block of that size is reused. */
  allocate(bytes: number): number {
    const size = Math.ceil(bytes / 64) * 64;
    const reused = this.#free.get(size)?.pop();
    if (reused !== undefined) return reused;
    const address = this.#next;
    const pages = Math.ceil((address + size) / PAGE);
    const have = this.memory.buffer.byteLength / PAGE;
    if (pages > MOST_PAGES) {
      throw new RangeError(
        `wasm-simd: needs ${gib(pages * PAGE)} GiB, more than the 4 GiB a WebAssembly memory reaches`,
      );
    }
    if (pages > have) {
      try {
        this.memory.grow(pages - have);
      } catch (cause) {
        throw new RangeError(
          `wasm-simd: the platform refuses ${gib(pages * PAGE)} GiB of WebAssembly memory`,
          { cause },
        );
      }
    }
    this.#next = address + size;
    return address;
  }

  release(address: number, bytes: number): void {
    const size = Math.ceil(bytes / 64) * 64;
    const list = this.#free.get(size);
    if (list) list.push(address);
    else this.#free.set(size, [address]);
  }

  /** Views are made fresh because growing replaces the buffer. */
  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, length);
  }

  bytesAt(address: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, length);
  }

  /** Stores numbers followed by zeros up to `padded`; returns their address. */
  store(values: ArrayLike<number>, padded: number = values.length): number {
    const address = this.allocate(padded * 4);
    this.floats(address, values.length).set(values);
    return address;
  }
}

const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(2);
