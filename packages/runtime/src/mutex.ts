// One at a time: callers queue and run in order. For ONNX Runtime's web builds, which refuse a run while another is in
// flight, and for sessions, whose cache is one sequence.

export class Mutex {
  #tail: Promise<void> = Promise.resolve();

  /** Runs `job` after all earlier ones have settled. */
  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(job);
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** Waits for its turn and gives the function that ends it. For jobs that are async generators. */
  async acquire(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#tail;
    this.#tail = before.then(() => promise);
    await before;
    return resolve;
  }
}
