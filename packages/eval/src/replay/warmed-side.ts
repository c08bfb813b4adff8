// The large side while the small model writes, as the relay keeps it warm: requests go out by the relay's own rule, arrive half a
// round trip later, and are read one after another, each from where the one before it ends. Their answers take the other half.

import { MOST_AT_ONCE, smoothedAnswerMs, warmUpIsDue } from '@baton/split';

import type { CostModel } from './cost-model.ts';

export class WarmedSide {
  readonly #cost: CostModel;
  #nowMs = 0;
  /** Tokens that no request held yet, and their characters; Infinity before the first request. */
  #unsent: number;
  #grown = Infinity;
  /** When each request was sent. */
  readonly sentMs: number[] = [];
  /** When each request under way is answered, oldest first. */
  #answers: { sentMs: number; atMs: number }[] = [];
  /** Until when the large side reads what it was sent. */
  #busyUntilMs = 0;
  #answerMs: number;
  /** For a character; known as soon as text is written. */
  #readMs: number | null = null;

  /** `promptTokens` stand before the first text, and are sent with the first request. */
  constructor(cost: CostModel, promptTokens: number) {
    this.#cost = cost;
    this.#unsent = promptTokens;
    // As the relay knows it from earlier runs: at the least.
    this.#answerMs = cost.roundTripMs;
  }

  /** The small model writes so many tokens, of so many characters in all. */
  write(tokens: number, characters: number): void {
    const each = characters / Math.max(1, tokens);
    const readMs = this.#cost.large.prefillMs / each;
    this.#readMs = readMs > 0 && Number.isFinite(readMs) ? readMs : null;
    this.#offer();
    for (let i = 0; i < tokens; i++) {
      this.#nowMs += this.#cost.small.decodeMs;
      this.#unsent++;
      this.#grown += each;
      // Behind the last token comes the hand-off itself.
      if (i < tokens - 1) this.#offer();
    }
  }

  /**
   * The hand-off is sent: how long the large side still reads when it has arrived, what is under way first, in milliseconds. From then on
   * the large side holds everything.
   */
  handOff(): number {
    const arriveMs = this.#nowMs + this.#cost.roundTripMs / 2;
    const waitMs = Math.max(0, this.#busyUntilMs - arriveMs) + this.#unsent * this.#cost.large.prefillMs;
    this.#unsent = 0;
    this.#grown = 0;
    this.#busyUntilMs = 0;
    this.#answers = [];
    return waitMs;
  }

  #offer(): void {
    this.#hear();
    const situation = {
      underWay: this.#answers.length,
      most: MOST_AT_ONCE,
      grown: this.#grown,
      sinceMs: this.#nowMs - (this.sentMs.at(-1) ?? -Infinity),
      answerMs: this.#answerMs,
      readMs: this.#readMs,
    };
    if (this.#unsent === 0 || !warmUpIsDue(situation)) return;
    const half = this.#cost.roundTripMs / 2;
    const beginMs = Math.max(this.#nowMs + half, this.#busyUntilMs);
    this.#busyUntilMs = beginMs + this.#unsent * this.#cost.large.prefillMs;
    this.#answers.push({ sentMs: this.#nowMs, atMs: this.#busyUntilMs + half });
    this.#unsent = 0;
    this.#grown = 0;
    this.sentMs.push(this.#nowMs);
  }

  #hear(): void {
    while (this.#answers.length > 0 && this.#answers[0]!.atMs <= this.#nowMs) {
      const { sentMs, atMs } = this.#answers.shift()!;
      this.#answerMs = smoothedAnswerMs(this.#answerMs, atMs - sentMs);
    }
  }
}
