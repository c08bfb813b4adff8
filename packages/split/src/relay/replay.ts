// A trace as events again, events as a trace again, and a trace's large model played back: what was recorded can be shown,
// checked, rebuilt and run again without the endpoint that it came from.

import type { GenerateOptions, TextChunk, TextModel } from '@baton/runtime/text-model';

import type { SolveEvent } from '../events.ts';
import { lastBoxed } from '../text/boxed.ts';
import { CLOSED_ITSELF, TRACE_SCHEMA } from '../trace.ts';
import type { Trace, TracePiece, TraceSegment } from '../trace.ts';
import { TAGS } from '../text/tags.ts';
import type { Tags } from '../text/tags.ts';
import { emptySegment } from './ledger.ts';
import { EndpointError } from '../split-error.ts';

/** The events that a listener would have seen, in order, with their times and pieces. */
export function* replayEvents(trace: Trace): Generator<SolveEvent> {
  const { question, prompt, models, policy, seed, startedAt } = trace;
  yield { type: 'start', question, prompt, models, policy, seed, startedAt };
  for (const [index, segment] of trace.segments.entries()) {
    const { origin, startMs, text } = segment;
    yield { type: 'segment-start', index, origin, startMs };
    let from = 0;
    for (const [atMs, tokens, length] of piecesOf(segment)) {
      yield { type: 'text', index, origin, text: text.slice(from, from + length), tokens, atMs };
      from += length;
    }
    yield { type: 'segment-end', index, segment };
  }
  for (const note of trace.notes) yield { type: 'note', note };
  yield { type: 'end', trace };
}

/**
 * The trace that events make, counted from their pieces. Without an end event (a run that was cut off: a closed tab, a killed
 * process) what was written so far becomes a complete trace that says so.
 */
export function traceFromEvents(events: Iterable<SolveEvent>): Trace {
  const segments: TraceSegment[] = [];
  const notes: string[] = [];
  let head: (SolveEvent & { type: 'start' }) | null = null;
  let open: TraceSegment | null = null;
  let end: Trace | null = null;
  for (const event of events) {
    if (event.type === 'start') head = event;
    else if (event.type === 'note') notes.push(event.note);
    else if (event.type === 'end') end = event.trace;
    else if (event.type === 'segment-start') open = emptySegment(event.origin, event.startMs);
    else if (event.type === 'text' && open) addPiece(open, event);
    else if (event.type === 'segment-end' && open) {
      const { text, tokens, pieces, firstTokenMs } = open;
      segments.push({ ...event.segment, text, tokens, firstTokenMs, ...(pieces ? { pieces } : {}) });
      open = null;
    }
  }
  if (!head) throw new Error('events without a start make no trace');
  if (open) segments.push({ ...open, reason: 'aborted' });
  const text = segments.map((segment) => segment.text).join('');
  const { question, prompt, policy, seed, startedAt } = head;
  return {
    schema: TRACE_SCHEMA,
    question,
    prompt,
    segments,
    text,
    answer: lastBoxed(text),
    totals: { ...(end?.totals ?? NO_EXTRAS), ...countTotals(segments), ...elapsed(segments, end) },
    models: end?.models ?? head.models,
    policy,
    seed,
    stopReason: end?.stopReason ?? 'aborted',
    startedAt,
    notes,
  };
}

/**
 * The large model of a trace, played back: at each place where it was asked it writes what it wrote then, discarded text
 * included, piece by piece and without delay. With the same small model, seed and policy the run comes to the same answer.
 * Throws EndpointError `bad-request` where the trace never was. `tags`: those of the run, whose close tag it may have written.
 */
export function recordedLarge(trace: Trace, tags: Tags = TAGS): TextModel {
  const { id = 'recorded', location = 'trace' } = trace.models.large ?? {};
  /** Requests so far, by the text that they follow on: a span that the small model could not read is asked for again. */
  const asked = new Map<string, number>();
  return {
    id,
    location,
    // Billed: the record holds no warm-up requests to answer.
    capabilities: { logprobs: false, sessions: false, rawCompletion: true, billed: true },
    async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
      const times = asked.get(prompt) ?? 0;
      asked.set(prompt, times + 1);
      const here = segmentsAt(trace, prompt);
      const segment = here[times % here.length];
      if (!segment) throw new EndpointError('bad-request', 'the trace has no large segment at this place');
      const whole = segment.text + (segment.discardedText ?? '');
      const closing = segment.detail === CLOSED_ITSELF ? tags.close : '';
      let from = 0;
      const chunks = chunksOf(segment);
      // The tag's tokens are among those of the last chunk.
      if (chunks.length === 0 && closing !== '') chunks.push([0, 0]);
      for (const [i, [tokens, length]] of chunks.entries()) {
        options.signal?.throwIfAborted();
        const text = whole.slice(from, from + length) + (i === chunks.length - 1 ? closing : '');
        yield { text, tokenIds: Array.from({ length: tokens }, () => -1) };
        from += length;
      }
      if (segment.reason === 'endpoint-error')
        throw new EndpointError('network', segment.detail ?? 'failed when it was recorded');
      yield { text: '', tokenIds: [], finishReason: segment.reason === 'span-limit' ? 'length' : 'stop' };
    },
  };
}

/** Tokens and characters of each chunk as it came: text that was held back for a while joins the chunk it came in. */
function chunksOf(segment: TraceSegment): [tokens: number, characters: number][] {
  const chunks: [number, number][] = [];
  for (const [, tokens, length] of piecesOf(segment)) {
    const last = chunks.at(-1);
    // Tokens that were counted behind the text belong to its last chunk.
    if (last && (tokens === 0 || length === 0)) {
      last[0] += tokens;
      last[1] += length;
    } else chunks.push([tokens, length]);
  }
  for (const [, tokens, length] of segment.discardedPieces ?? []) {
    const last = chunks.at(-1);
    if (tokens === 0 && last) last[1] += length;
    else chunks.push([tokens, length]);
  }
  return chunks;
}

/** The large segments that begin behind `prompt`: several where all but the last left nothing. */
function segmentsAt(trace: Trace, prompt: string): TraceSegment[] {
  let before = trace.prompt;
  const found: TraceSegment[] = [];
  for (const segment of trace.segments) {
    if (segment.origin === 'large' && before === prompt) found.push(segment);
    before += segment.text;
  }
  return found;
}

/** A segment's pieces; the whole of it as one where the trace has none. */
function piecesOf({ pieces, text, tokens, firstTokenMs, startMs }: TraceSegment): readonly TracePiece[] {
  if (pieces) return pieces;
  return text === '' && tokens === 0 ? [] : [[firstTokenMs ?? startMs, tokens, text.length]];
}

function addPiece(open: TraceSegment, { text, tokens, atMs }: SolveEvent & { type: 'text' }): void {
  open.pieces!.push([atMs, tokens, text.length]);
  open.firstTokenMs ??= Math.max(open.startMs, atMs);
  open.endMs = Math.max(open.endMs, atMs);
  open.text += text;
  open.tokens += tokens;
}

const NO_EXTRAS = { cost: null, probeTokens: 0 };

function elapsed(segments: readonly TraceSegment[], end: Trace | null): { elapsedMs: number } {
  return { elapsedMs: end?.totals.elapsedMs ?? segments.at(-1)?.endMs ?? 0 };
}

function countTotals(segments: readonly TraceSegment[]): {
  smallTokens: number;
  largeTokens: number;
  discardedTokens: number;
  offloadRatio: number;
  offloadSpans: number;
} {
  const of = (origin: TraceSegment['origin']): number =>
    segments.reduce((sum, s) => sum + (s.origin === origin ? s.tokens : 0), 0);
  const [smallTokens, largeTokens] = [of('small'), of('large')];
  const all = smallTokens + largeTokens;
  return {
    smallTokens,
    largeTokens,
    discardedTokens: segments.reduce((sum, s) => sum + s.discardedTokens, 0),
    offloadRatio: all === 0 ? 0 : largeTokens / all,
    offloadSpans: segments.filter((s) => s.origin === 'large').length,
  };
}

/** One line per way in which the trace contradicts itself; empty for a sound one. */
export function auditTrace(trace: Trace): string[] {
  const faults: string[] = [];
  const expect = (what: string, stated: unknown, counted: unknown): void => {
    if (stated !== counted) faults.push(`${what}: stated ${String(stated)}, counted ${String(counted)}`);
  };
  const { totals, segments } = trace;
  expect('text', trace.text, segments.map((s) => s.text).join(''));
  expect('answer', trace.answer, lastBoxed(trace.text));
  for (const [name, counted] of Object.entries(countTotals(segments)))
    expect(name, totals[name as keyof typeof totals], counted);
  let clock = 0;
  for (const [i, segment] of segments.entries()) {
    const first = segment.firstTokenMs ?? segment.startMs;
    if (segment.startMs < clock || first < segment.startMs || segment.endMs < first)
      faults.push(`segment ${i} runs backwards in time`);
    // A request may be sent while the segment before it still ends.
    clock = segment.startMs;
    if (segment.discardedTokens > 0 && segment.origin === 'small')
      faults.push(`segment ${i}: small text is never discarded`);
    if (segment.pieces) checkPieces(`segment ${i}`, segment.pieces, segment.tokens, segment.text, expect);
    if (segment.discardedPieces)
      checkPieces(
        `segment ${i}, discarded`,
        segment.discardedPieces,
        segment.discardedTokens,
        segment.discardedText ?? '',
        expect,
      );
  }
  if (totals.elapsedMs < clock) faults.push('the trace ends before its last segment begins');
  if (totals.cost !== null) {
    const counted = segments.reduce((sum, s) => sum + (s.cost ?? 0), totals.otherCost ?? 0);
    if (Math.abs(counted - totals.cost) > 1e-9 * Math.max(1, counted))
      faults.push(`cost: stated ${totals.cost}, counted ${counted}`);
  }
  return faults;
}

function checkPieces(
  where: string,
  pieces: readonly TracePiece[],
  tokens: number,
  text: string,
  expect: (what: string, stated: unknown, counted: unknown) => void,
): void {
  const sum = (at: 1 | 2): number => pieces.reduce((total, piece) => total + piece[at], 0);
  expect(`${where}: tokens of its pieces`, tokens, sum(1));
  expect(`${where}: length of its pieces`, text.length, sum(2));
}
