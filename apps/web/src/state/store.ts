// A store small enough to read at once: one immutable value, patches, and listeners that hear of it once per frame.

export class Store<T extends object> {
  #value: T;
  readonly #listeners = new Set<() => void>();
  #scheduled = false;

  constructor(value: T) {
    this.#value = value;
  }

  get value(): Readonly<T> {
    return this.#value;
  }

  /** Replaces the fields given. Listeners are called in the next frame, however many patches come before it. */
  patch(change: Partial<T>): void {
    this.#value = { ...this.#value, ...change };
    if (this.#scheduled) return;
    this.#scheduled = true;
    const tell = (): void => {
      this.#scheduled = false;
      for (const listener of this.#listeners) listener();
    };
    // A hidden page gets no frames, but must not fall behind for ever.
    if (typeof document !== 'undefined' && document.visibilityState === 'visible')
      requestAnimationFrame(tell);
    else setTimeout(tell, 50);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
