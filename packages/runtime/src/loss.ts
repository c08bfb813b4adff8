// The end of something that many calls wait on: a device, a worker. Every call fails when it comes, and none is kept
// afterwards: a race with one promise that lives as long as the model would hold every call's result as long.

export class Loss {
  readonly #waiting = new Set<(reason: Error) => void>();
  #reason: Error | null = null;

  /** Fails what is under way and all that comes later. The first reason stays. */
  happened(reason: Error): void {
    this.#reason ??= reason;
    for (const fail of this.#waiting) fail(this.#reason);
  }

  /** What `work` gives, or the reason of the loss where that comes first. */
  async before<T>(work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    if (this.#reason) reject(this.#reason);
    this.#waiting.add(reject);
    try {
      return await Promise.race([promise, work]);
    } finally {
      this.#waiting.delete(reject);
    }
  }
}
