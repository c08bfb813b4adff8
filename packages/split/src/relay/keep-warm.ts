// Streaming prefill: while the small model writes, the large side is given the text so far, so that its prefix cache
// holds nearly all of it when the hand-off comes. Every request extends the one before it. One is under way at a time and the
// next goes out as soon as that is answered; several, spread over the time that an answer takes, where the server has shown
// that a request which comes while its beginning is still being read goes on from there. None of this where the server reads along
// what the hand-off's own request has sent so far.

import { turnOfEventLoop } from '@baton/runtime/event-loop';
import type { TextModel } from '@baton/runtime/text-model';

import { isAbort, messageOf } from '../split-error.ts';
import type { LargeSide, WarmUpAnswer } from './large-side.ts';
import { ReadingPace } from './reading-pace.ts';
import { MOST_AT_ONCE, smoothedAnswerMs, warmUpIsDue, worthCharacters } from './warm-up-rule.ts';

/** What its answers have shown of a server; stays known from run to run. */
interface Server {
  /**
   * A warm-up that came while an earlier one was under way found that one's text in the cache. Servers that give each request a
   * cache of its own (llama.cpp's slots) would read everything again. Null: it has not said yet how much it had cached.
   */
  readsAlong: boolean | null;
  /** How long an answer takes, smoothed. */
  answerMs: number | null;
  pace: ReadingPace;
}

const servers = new WeakMap<TextModel, Server>();

interface Sent {
  answer: string;
  atMs: number;
  /** Characters of the longest request that was under way when this one was sent; 0 where there was none. */
  ahead: number;
  /** None was under way then: its answer's time is its own. */
  alone: boolean;
}

export class KeepWarm {
  readonly #large: LargeSide;
  readonly #onNote: (line: string) => void;
  readonly #now: () => number;
  readonly #isWorth: (answer: string) => boolean;
  readonly #busy = new Map<Sent, Promise<void>>();
  #control = new AbortController();
  #sent: string | null = null;
  #sentMs = -Infinity;
  readonly #server: Server;
  #off = false;

  /** `isWorth`: whether a hand-off behind this answer can still come when the large side has read it, budgets considered. */
  constructor(
    large: LargeSide,
    onNote: (line: string) => void,
    now: () => number,
    isWorth: (answer: string) => boolean = () => true,
  ) {
    this.#large = large;
    this.#isWorth = isWorth;
    this.#onNote = onNote;
    this.#now = now;
    this.#server = servers.get(large.model) ?? {
      readsAlong: null,
      answerMs: null,
      pace: new ReadingPace(),
    };
    servers.set(large.model, this.#server);
  }

  /** The text has grown to `answer`. `urgent`: a hand-off is likely soon, so a few characters are enough. */
  offer(answer: string, urgent = false): void {
    if (!this.#off && !this.#isWorth(answer)) return;
    if (!this.#off && this.#large.extendPrompt(answer)) return;
    const grown = this.#sent === null ? Infinity : answer.length - this.#sent.length;
    const readMs = this.#server.pace.msPerCharacter;
    // Asked for each token: most of them end here.
    if (this.#off || grown < worthCharacters(readMs, urgent)) return;
    const { answerMs } = this.#server;
    const atMs = this.#now();
    const sinceMs = atMs - this.#sentMs;
    const situation = { underWay: this.#busy.size, most: this.#most(), grown, sinceMs, answerMs, readMs };
    if (!warmUpIsDue(situation, urgent)) return;
    const ahead = Math.max(0, ...[...this.#busy.keys()].map((sent) => sent.answer.length));
    this.#send({ answer, atMs, ahead, alone: this.#busy.size === 0 });
  }

  /**
   * The hand-off itself is sent now. Requests under way read what it needs as well, and ahead of it, so they are left alone, unless
   * they would keep it waiting: where the endpoint takes no more requests at once, and in this process, where one model does both.
   */
  makeWay(): void {
    const { sessions, concurrency = Infinity } = this.#large.model.capabilities;
    if (this.#busy.size === 0 || (!sessions && this.#busy.size < concurrency)) return;
    const withdrawn = this.#control;
    this.#control = new AbortController();
    // Behind the hand-off, which is on its way in this turn: closing a connection takes a third of a millisecond.
    void turnOfEventLoop().then(() => withdrawn.abort());
  }

  /** The large side itself now holds `answer`. */
  seen(answer: string): void {
    this.#sent = answer;
  }

  async stop(): Promise<void> {
    this.#off = true;
    this.#large.closePrompt();
    this.#control.abort();
    await Promise.all(this.#busy.values());
  }

  /** Requests that may be under way at once: one less than the endpoint takes, for the hand-off. */
  #most(): number {
    const { sessions, concurrency = Infinity } = this.#large.model.capabilities;
    if (sessions || this.#server.readsAlong !== true) return 1;
    return Math.max(1, Math.min(MOST_AT_ONCE, concurrency - 1));
  }

  #send(sent: Sent): void {
    const { signal } = this.#control;
    this.#sent = sent.answer;
    this.#sentMs = sent.atMs;
    const done = this.#large
      .warm(sent.answer, signal)
      .then((answered) => this.#learn(sent, answered))
      .catch((error: unknown) => {
        // Withdrawn for a hand-off: the next offer may try again.
        if (this.#off || (signal.aborted && isAbort(error))) return;
        // Keeping warm is a favour; when it fails the hand-off itself will say what is wrong.
        this.#off = true;
        if (!isAbort(error)) this.#onNote(`keep-warm requests stopped: ${messageOf(error)}`);
      })
      .finally(() => this.#busy.delete(sent));
    this.#busy.set(sent, done);
  }

  #learn(sent: Sent, { notes, usage }: WarmUpAnswer): void {
    // Behind the end of the run nobody listens any more.
    if (!this.#off) for (const note of notes) this.#onNote(note);
    const took = this.#now() - sent.atMs;
    const server = this.#server;
    server.answerMs = smoothedAnswerMs(server.answerMs, took);
    if (usage?.cachedTokens === undefined) return;
    const { prompt } = this.#large;
    const fresh = 1 - usage.cachedTokens / Math.max(1, usage.promptTokens);
    if (sent.alone) server.pace.add(fresh * (prompt.length + sent.answer.length), took);
    if (server.readsAlong === false) return;
    const share = (prompt.length + sent.ahead) / Math.max(1, prompt.length + sent.answer.length);
    // Half of what was ahead: a server may keep whole blocks only.
    server.readsAlong = sent.ahead === 0 || usage.cachedTokens >= (usage.promptTokens * share) / 2;
  }
}
