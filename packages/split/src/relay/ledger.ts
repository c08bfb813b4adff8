// The book of one run: whose text and tokens, when, why each segment ended. The answer's text is the segments' texts
// joined, because there is no other place where it is kept.

import type { Emit } from '../events.ts';
import type { Origin, SegmentReason, TraceSegment } from '../trace.ts';

export type SegmentDetails = Partial<
  Pick<
    TraceSegment,
    | 'discardedTokens'
    | 'discardedText'
    | 'detail'
    | 'refused'
    | 'promptTokens'
    | 'cachedTokens'
    | 'decisionLogprob'
    | 'cost'
    | 'model'
    | 'lastTokenMs'
    | 'discardedPieces'
  >
>;

/** A segment as it begins. */
export function emptySegment(origin: Origin, startMs: number): TraceSegment {
  return {
    origin,
    text: '',
    tokens: 0,
    discardedTokens: 0,
    pieces: [],
    startMs,
    firstTokenMs: null,
    endMs: startMs,
    reason: 'end',
  };
}

export class Ledger {
  readonly segments: TraceSegment[] = [];
  readonly notes: string[] = [];
  readonly #emit: Emit;
  readonly #now: () => number;
  #open: TraceSegment | null = null;
  #text = '';

  constructor(emit: Emit, now: () => number) {
    this.#emit = emit;
    this.#now = now;
  }

  /** The answer so far. */
  get text(): string {
    return this.#text;
  }

  /** The segment being written, if any. */
  get current(): TraceSegment | null {
    return this.#open;
  }

  note(note: string): void {
    if (this.notes.includes(note)) return;
    this.notes.push(note);
    this.#emit({ type: 'note', note });
  }

  /** Begins a segment; `beganMs` when it began earlier than now, though never before the segment in front of it. */
  begin(origin: Origin, beganMs = this.#now()): TraceSegment {
    if (this.#open) throw new Error(`segment ${this.segments.length} is still open`);
    const startMs = Math.max(beganMs, this.segments.at(-1)?.startMs ?? 0);
    this.#open = emptySegment(origin, startMs);
    this.#emit({ type: 'segment-start', index: this.segments.length, origin, startMs });
    return this.#open;
  }

  /** Adds text and tokens to the open segment. `atMs`: when they arrived, if not now. */
  add(text: string, tokens: number, atMs = this.#now()): void {
    const open = this.#open;
    if (!open) throw new Error('no segment is open');
    if (text === '' && tokens === 0) return;
    open.firstTokenMs ??= Math.max(open.startMs, atMs);
    open.pieces!.push([atMs, tokens, text.length]);
    open.text += text;
    open.tokens += tokens;
    this.#text += text;
    this.#emit({ type: 'text', index: this.segments.length, origin: open.origin, text, tokens, atMs });
  }

  /** Ends the open segment. */
  end(reason: SegmentReason, details: SegmentDetails = {}): TraceSegment | null {
    const open = this.#open;
    if (!open) return null;
    this.#open = null;
    Object.assign(open, { reason, endMs: this.#now() }, withoutUndefined(details));
    open.endMs = Math.max(open.endMs, open.firstTokenMs ?? open.startMs);
    const index = this.segments.length;
    this.segments.push(open);
    this.#emit({ type: 'segment-end', index, segment: open });
    return open;
  }

  tokens(origin: Origin): number {
    const closed = this.segments.reduce((n, s) => n + (s.origin === origin ? s.tokens : 0), 0);
    return closed + (this.#open?.origin === origin ? this.#open.tokens : 0);
  }

  get discarded(): number {
    return this.segments.reduce((n, s) => n + s.discardedTokens, 0);
  }

  get spans(): number {
    return this.segments.filter((s) => s.origin === 'large').length;
  }
}

function withoutUndefined<T extends object>(object: T): Partial<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<T>;
}
