// A store small enough to read at once: one immutable value, patches, and listeners that hear of it once per frame.

/** What it begins (drawing, mostly) ends with the promise. */
export type Listener = () => void | Promise<unknown>;

/** From here on the rest of the listeners wait for a task of their own: a page must answer a click within 50 ms. */
const SLICE_MS = 8;

export class Store<T extends object> {
  #value: T;
  readonly #listeners = new Set<Listener>();
  #scheduled = false;
  #telling = false;
  /** Something changed while the listeners were told. */
  #again = false;

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
      void this.#tell();
    };
    // A hidden page gets no frames, but must not fall behind for ever.
    if (typeof document !== 'undefined' && document.visibilityState === 'visible')
      requestAnimationFrame(tell);
    else setTimeout(tell, 50);
  }

  /** Elements draw in the same frame where they are quick; the end of a run changes all of them. */
  async #tell(): Promise<void> {
    this.#again = this.#telling;
    if (this.#telling) return;
    this.#telling = true;
    do {
      this.#again = false;
      let began = performance.now();
      for (const listener of this.#listeners) {
        try {
          await listener();
        } catch (error) {
          reportError(error);
        }
        if (performance.now() - began < SLICE_MS) continue;
        await new Promise((turn) => setTimeout(turn));
        began = performance.now();
      }
    } while (this.#again);
    this.#telling = false;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
