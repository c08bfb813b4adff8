// Who may run now and who waits: at most `parallel` requests run, at most `limit` wait, first come first served. The
// next one is refused at once with the time after which trying again makes sense.
import { ApiError } from '../api-error.ts';

export interface QueueOptions {
  parallel: number;
  /** Requests that may wait. */
  limit: number;
}

interface Waiter {
  start(): void;
}

export class RequestQueue {
  readonly #options: QueueOptions;
  #running = 0;
  #waiting: Waiter[] = [];
  /** Mean time of a request in milliseconds, newer ones counting more; for Retry-After. */
  #meanMs = 1000;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  get state(): { running: number; waiting: number } {
    return { running: this.#running, waiting: this.#waiting.length };
  }

  /** Resolves to a release function when it is this request's turn. Throws 429 when the queue is full. */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw new DOMException('the client left', 'AbortError');
    if (this.#running < this.#options.parallel) this.#running++;
    else await this.#wait(signal);
    const began = performance.now();
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#meanMs = 0.8 * this.#meanMs + 0.2 * (performance.now() - began);
      const next = this.#waiting.shift();
      // The slot goes from one to the next without being free in between.
      if (next) next.start();
      else this.#running--;
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#options.limit) {
      const seconds = Math.max(
        1,
        Math.ceil((this.#meanMs * this.#waiting.length) / this.#options.parallel / 1000),
      );
      throw new ApiError(
        429,
        `${this.#running} requests are running and ${this.#waiting.length} are waiting; try again in about ${seconds} s`,
        { code: 'queue_full', headers: { 'retry-after': String(seconds) } },
      );
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        start: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      const leave = (): void => {
        this.#waiting = this.#waiting.filter((one) => one !== waiter);
        reject(new DOMException('the client left', 'AbortError'));
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiter);
    });
  }
}
