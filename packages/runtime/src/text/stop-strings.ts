// Finds stop strings in streamed text. Text that could still turn out to be the beginning of a stop string is held
// back, so that a caller never sees a piece of one. The earliest match wins; of two at one place, the longer.

export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  /** Empty strings are ignored. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((s) => s !== '');
  }

  /** Takes more text; gives what is safe to show, and the stop string that ended it (then nothing more may be pushed). */
  push(text: string): { text: string; match?: string } {
    if (this.#stops.length === 0) return { text };
    const all = this.#held + text;
    let at = -1;
    let found = '';
    for (const stop of this.#stops) {
      const i = all.indexOf(stop);
      if (i < 0) continue;
      if (at < 0 || i < at || (i === at && stop.length > found.length)) {
        at = i;
        found = stop;
      }
    }
    if (at >= 0) {
      this.#held = '';
      return { text: all.slice(0, at), match: found };
    }
    const keep = this.#longestBeginning(all);
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep) };
  }

  /** What was held back, at the end of the text. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest end of `all` that begins a stop string. */
  #longestBeginning(all: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, all.length); n > longest; n--) {
        if (all.endsWith(stop.slice(0, n))) longest = n;
      }
    }
    return longest;
  }
}
