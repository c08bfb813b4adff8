// One run in progress: the answer so far as each side sees it, the two sides, the book and the budgets. Policies drive
// it through a few verbs (write, hand off, end); they decide who writes, never how.

import type { Sampling } from '@baton/runtime/text-model';

import type { Emit } from '../events.ts';
import { SplitError, isAbort, messageOf } from '../split-error.ts';
import { lastBoxed } from '../text/boxed.ts';
import { stripTags, withoutTagAcross } from '../text/tags.ts';
import type { Tags } from '../text/tags.ts';
import type { TraceStopReason } from '../trace.ts';
import { admit } from './budget.ts';
import type { Admission, Budget, Spent } from './budget.ts';
import type { KeepWarm } from './keep-warm.ts';
import type { LargeSide } from './large-side.ts';
import type { LargeStream } from './large-stream.ts';
import type { Ledger } from './ledger.ts';
import type { SmallSide } from './small-side.ts';
import { runSpan } from './span.ts';
import type { SpanOptions, SpanResult } from './span.ts';
import { isFull } from './take-over.ts';
import { writeSmall } from './write-small.ts';
import type { SmallStop, WriteSmallOptions } from './write-small.ts';

export interface RelayParts {
  question: string;
  prompt: string;
  tags: Tags;
  small: SmallSide | null;
  large: LargeSide | null;
  ledger: Ledger;
  budget: Budget;
  sampling: Sampling;
  keepWarm: KeepWarm | null;
  /** Hand-off requests may be sent before the tag is complete. */
  early: boolean;
  /** The large stream is controlled while it arrives; false: only when it has ended. */
  overlap: boolean;
  random: () => number;
  signal: AbortSignal;
  now: () => number;
  emit: Emit;
  priced: boolean;
}

/** What a request would follow on beyond the answer as it stands, and what it is asked for. */
export interface Pending {
  /** The text that it follows on; the answer where absent. */
  answer?: string;
  /** Tokens and spans of that text that the book does not have yet; its large tokens are among the overhead. */
  smallTokens?: number;
  largeTokens?: number;
  spans?: number;
  /** Money that is spent before it. */
  cost?: number;
  /** Tokens below which it is not worth having. */
  shortest?: number;
}

export class Relay {
  readonly parts: RelayParts;
  /** The prompt and the answer with tags, as the small model reads it. */
  smallText: string;
  /** The large endpoint failed: the small model is on its own from here on. */
  largeFailed: string | null = null;
  /** No later hand-off can be admitted. */
  closedWhy: string | null = null;
  earlySent = 0;
  earlyDropped = 0;
  probeTokens = 0;
  readonly overhead = { smallTokens: 0, largeTokens: 0, requests: 0 };
  #writes = 0;

  constructor(parts: RelayParts) {
    this.parts = parts;
    this.smallText = parts.prompt;
  }

  get ledger(): Ledger {
    return this.parts.ledger;
  }

  /** The answer so far, without tags. */
  get answer(): string {
    return this.parts.ledger.text;
  }

  get small(): SmallSide {
    if (!this.parts.small) throw new SplitError('unsuitable-model', 'this policy needs a small model');
    return this.parts.small;
  }

  get large(): LargeSide {
    if (!this.parts.large)
      throw new SplitError('large-missing', 'this policy needs a large model; configure one (--large)');
    return this.parts.large;
  }

  /** Whether the large model can still be asked. */
  get largeUsable(): boolean {
    return this.parts.large !== null && this.largeFailed === null;
  }

  /** Tokens that the answer may still get. */
  get tokensLeft(): number {
    const { ledger, budget } = this.parts;
    return (budget.maxTokens ?? 4096) - ledger.tokens('small') - ledger.tokens('large');
  }

  /** A seed of its own for each piece the small model writes. */
  nextSampling(): Sampling {
    const { sampling } = this.parts;
    if (sampling.seed === undefined) return sampling;
    return { ...sampling, seed: (sampling.seed + 104729 * this.#writes++) >>> 0 };
  }

  /** Money spent so far, 0 where nothing has a price. */
  get cost(): number {
    return spentMoney(this.ledger, this.parts.large);
  }

  /** Whether a span may start now; `pending` where it would not follow on the answer as it stands. */
  admission(pending: Pending = {}): Admission {
    if (!this.parts.large) return { admitted: false, why: 'no large model is configured', lasting: true };
    if (this.largeFailed !== null) return { admitted: false, why: this.largeFailed, lasting: true };
    if (this.closedWhy !== null) return { admitted: false, why: this.closedWhy, lasting: true };
    const { ledger, budget, priced, large } = this.parts;
    const { smallTokens = 0, largeTokens = 0, spans = 0, cost = 0 } = pending;
    const spent = this.#spent;
    const next = priced ? large.nextCost(pending.answer ?? this.answer) : null;
    const answer = admit(
      budget,
      {
        ...spent,
        smallTokens: spent.smallTokens + smallTokens,
        largeTokens: spent.largeTokens + largeTokens,
        discardedTokens: spent.discardedTokens - largeTokens,
        spans: spent.spans + spans,
        cost: spent.cost + cost,
      },
      next,
      pending.shortest,
    );
    if (!answer.admitted && answer.lasting && pending.answer === undefined) {
      this.closedWhy = answer.why;
      ledger.note(`no more hand-offs: ${answer.why}`);
    }
    return answer;
  }

  /** What the large model may write where it writes everything: shares, spans and their lengths say nothing there. */
  allowance(): Admission {
    const { maxOffload: _, ...budget } = this.parts.budget;
    const next = this.parts.priced ? this.large.nextCost(this.answer) : null;
    const unlimited = { ...budget, maxSpans: Infinity, maxSpanTokens: Infinity };
    return admit(unlimited, this.#spent, next, 1);
  }

  get #spent(): Spent {
    const { ledger, now } = this.parts;
    return {
      smallTokens: ledger.tokens('small'),
      largeTokens: ledger.tokens('large'),
      discardedTokens: ledger.discarded + this.overhead.largeTokens,
      spans: ledger.spans,
      cost: this.cost,
      elapsedMs: now(),
    };
  }

  /** The small model writes on; the segment stays open for the caller to end. */
  write(options: WriteSmallOptions = {}): Promise<SmallStop> {
    return writeSmall(this, options);
  }

  /** The large model writes a span, under the small model's control where the rule says so. */
  span(options: SpanOptions): Promise<SpanResult> {
    return runSpan(this, options);
  }

  /** Adds generated text that belongs to the answer: to the book and to what the small model reads. */
  append(text: string, tokens: number, atMs?: number): void {
    const kept = withoutTagAcross(this.ledger.text, text, this.parts.tags);
    this.ledger.add(kept, tokens, atMs);
    this.smallText += kept;
  }

  /** Generated text with the tags taken out. */
  clean(text: string): string {
    return stripTags(text, [this.parts.tags.open, this.parts.tags.close]);
  }

  /** The answer is complete as it stands: a boxed result outside of any unfinished thought. */
  get isFinal(): boolean {
    const whole = this.parts.prompt + this.answer;
    if (lastBoxed(this.answer) === null) return false;
    return whole.lastIndexOf('</think>') >= whole.lastIndexOf('<think>');
  }

  /** Ends the open segment after a failure of the small model, and says how the run ends. */
  smallFailed(error: unknown): TraceStopReason {
    if (isAbort(error) || this.parts.signal.aborted) {
      this.ledger.end(this.stopReason() === 'budget' ? 'budget' : 'aborted');
      return this.stopReason();
    }
    const reason = isFull(error) ? 'context' : 'small-error';
    if (!this.ledger.current) this.ledger.begin('small');
    this.ledger.end(reason, { detail: messageOf(error) });
    this.ledger.note(`the small model stopped: ${messageOf(error)}`);
    return reason === 'context' ? 'context' : 'error';
  }

  /** The large side is gone for the rest of the run. */
  failLarge(error: unknown): void {
    this.largeFailed = `the large endpoint failed: ${messageOf(error)}`;
    this.ledger.note(`${this.largeFailed}; ${CARRIES_ON_ALONE}`);
  }

  /** Why the signal was aborted: the person, or the clock. */
  stopReason(): 'aborted' | 'budget' {
    return this.parts.signal.reason === OUT_OF_TIME ? 'budget' : 'aborted';
  }

  /** A hand-off request sent before the tag is complete. */
  sendEarly(): LargeStream | null {
    const { early, large } = this.parts;
    if (!early || !large || !this.largeUsable) return null;
    const answer = this.admission();
    if (!answer.admitted) return null;
    this.earlySent++;
    const stream = large.stream(this.answer, answer.maxTokens, 'early');
    this.parts.keepWarm?.makeWay();
    return stream;
  }

  dropEarly(stream: LargeStream): void {
    this.earlyDropped++;
    stream.abort();
    for (const note of stream.notes) this.ledger.note(note);
    this.large.payFor(stream, this.answer);
    this.overhead.largeTokens += stream.tokens;
    this.overhead.requests++;
  }
}

/** What all requests so far cost. */
export function spentMoney(ledger: Ledger, large: LargeSide | null): number {
  const side = large ? large.otherCost + large.pendingCost : 0;
  return ledger.segments.reduce((sum, s) => sum + (s.cost ?? 0), side);
}

/** How the note ends that tells of a large model lost for good. */
export const CARRIES_ON_ALONE = 'the small model carries on alone';

/** Abort reason of the wall-clock budget. */
export const OUT_OF_TIME = Symbol('wall-clock budget');
