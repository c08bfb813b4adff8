// How fast a server reads, from the times of its answers: the slope of a line through what each had to read and how long it took.
// Its intercept is the round trip, which says nothing of the pace.

/** Of what is known, so much is kept with each new answer: the newest ten or so count. */
const KEPT = 0.9;
/** Answers below which nothing is known, as they count with that. */
const FEWEST = 3;
/** Characters (standard deviation) below which all answers had as much to read, and a slope would be noise. */
const LEAST_SPREAD = 30;

export class ReadingPace {
  #n = 0;
  #x = 0;
  #y = 0;
  #xx = 0;
  #xy = 0;

  /** An answer that had to read so many new characters and took so long. */
  add(characters: number, tookMs: number): void {
    this.#n = KEPT * this.#n + 1;
    this.#x = KEPT * this.#x + characters;
    this.#y = KEPT * this.#y + tookMs;
    this.#xx = KEPT * this.#xx + characters * characters;
    this.#xy = KEPT * this.#xy + characters * tookMs;
  }

  /** Milliseconds for a character; null where the answers do not say. */
  get msPerCharacter(): number | null {
    const n = this.#n;
    if (n < FEWEST) return null;
    const variance = this.#xx / n - (this.#x / n) ** 2;
    if (variance < LEAST_SPREAD ** 2) return null;
    const slope = (this.#xy / n - (this.#x / n) * (this.#y / n)) / variance;
    return slope > 0 ? slope : null;
  }
}
