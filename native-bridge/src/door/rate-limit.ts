// A token bucket: so many tries at once, refilled evenly. Guards against guessing; knows nothing of what is tried.

export class RateLimit {
  readonly #most: number;
  readonly #perMs: number;
  readonly #clock: () => number;
  #left: number;
  #at: number;

  /** `most` tries in `windowMs`. `clock` in milliseconds, only going forward. */
  constructor(most: number, windowMs: number, clock: () => number = () => performance.now()) {
    this.#most = most;
    this.#perMs = most / windowMs;
    this.#clock = clock;
    this.#left = most;
    this.#at = clock();
  }

  /** Takes one try; false where there is none left. */
  take(): boolean {
    const now = this.#clock();
    this.#left = Math.min(this.#most, this.#left + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** Seconds until the next try. */
  get retryAfter(): number {
    return Math.max(1, Math.ceil((1 - this.#left) / this.#perMs / 1000));
  }
}
