// Streaming prefill: while the small model writes, the large side is given the text so far, so that its prefix cache
// holds nearly all of it when the hand-off comes. One request at a time, the next as soon as that is answered: the pace is the
// endpoint's own.

import { isAbort, messageOf } from '../split-error.ts';
import type { LargeSide } from './large-side.ts';

/** Fewer new characters than this are not worth a request (about 12 tokens). */
const WORTH_CHARACTERS = 40;

export class KeepWarm {
  readonly #large: LargeSide;
  readonly #onNote: (line: string) => void;
  #control = new AbortController();
  #busy: Promise<void> | null = null;
  #sent: string | null = null;
  #off = false;

  constructor(large: LargeSide, onNote: (line: string) => void) {
    this.#large = large;
    this.#onNote = onNote;
  }

  /** The text has grown to `answer`. `urgent`: a hand-off is likely soon, so a few characters are enough. */
  offer(answer: string, urgent = false): void {
    if (this.#off || this.#busy) return;
    const grown = this.#sent === null ? Infinity : answer.length - this.#sent.length;
    if (grown < (urgent ? 4 : WORTH_CHARACTERS)) return;
    const { signal } = this.#control;
    this.#sent = answer;
    this.#busy = this.#large
      .warm(answer, signal)
      .then((notes) => {
        // Behind the end of the run nobody listens any more.
        if (!this.#off) for (const note of notes) this.#onNote(note);
      })
      .catch((error: unknown) => {
        // Withdrawn for a hand-off: the next offer may try again.
        if (signal.aborted && isAbort(error)) return;
        // Keeping warm is a favour; when it fails the hand-off itself will say what is wrong.
        this.#off = true;
        if (!isAbort(error)) this.#onNote(`keep-warm requests stopped: ${messageOf(error)}`);
      })
      .finally(() => (this.#busy = null));
  }

  /**
   * The hand-off itself is sent now: a request under way would only compete with it. What it has put in the cache stays there,
   * so the hand-off goes on from that.
   */
  makeWay(): void {
    if (!this.#busy) return;
    this.#control.abort();
    this.#control = new AbortController();
  }

  /** The large side itself now holds `answer`. */
  seen(answer: string): void {
    this.#sent = answer;
  }

  async stop(): Promise<void> {
    this.#off = true;
    this.#control.abort();
    await this.#busy;
  }
}
