// One run (a problem, a sample, an arm) turned into the figures that every statistic is made of. All of them come from
// the trace's segments, so a stored trace can be scored again at any time without a model.

import { auditTrace } from '@baton/split';
import type { SegmentReason, Trace, TraceSegment, TraceStopReason } from '@baton/split/trace';

import { isEquivalent } from '../answers/equivalence.ts';
import { extractAnswer } from '../answers/extract.ts';
import type { ExtractedAnswer } from '../answers/extract.ts';
import { runFailure } from './run-failure.ts';

export interface ScoredRun {
  id: string;
  sample: number;
  answer: ExtractedAnswer | null;
  right: boolean;
  smallTokens: number;
  /** Large tokens kept in the trace. */
  largeTokens: number;
  /** Large tokens thrown away: cost, not part of the offload ratio. */
  discardedTokens: number;
  /** largeTokens / (smallTokens + largeTokens). */
  offloadRatio: number;
  /** SplitReason's measure: characters inside tag pairs, the tags counted, over all characters. */
  charCoverage: number;
  /** Kept tokens of each offload span, in order; spans that kept nothing are 0. */
  spanTokens: number[];
  /** Tokens in no segment, spent by either model: keep-warm requests, probes, scores, drafts that lost. */
  sideTokens: number;
  /** Where the spans lie in the kept text, as fractions of its characters. */
  spanExtents: { from: number; to: number }[];
  /** Milliseconds from hand-off to the large model's first token, one per span that had one. */
  handOffMs: number[];
  /** Milliseconds from the end of a span to the small model's next token, one per hand-back that was followed by one. */
  handBackMs: number[];
  firstTokenMs: number | null;
  elapsedMs: number;
  cost: number | null;
  stopReason: TraceStopReason;
  reasons: SegmentReason[];
  /** The error that cut the run short; null for a run without. */
  failure: string | null;
  /** Where the trace contradicts itself; empty for a sound one. */
  faults: string[];
}

const OPEN_TAG_CHARACTERS = '<bigmodel>'.length;
const CLOSE_TAG_CHARACTERS = '</bigmodel>'.length;

/** Scores one trace against the gold answer. */
export function scoreTrace(run: { id: string; sample: number; trace: Trace }, gold: string): ScoredRun {
  const { trace } = run;
  const answer = extractAnswer(trace.text);
  const large = trace.segments.filter((segment) => segment.origin === 'large');
  const smallTokens = countTokens(trace.segments.filter((segment) => segment.origin === 'small'));
  const largeTokens = countTokens(large);
  return {
    id: run.id,
    sample: run.sample,
    answer,
    right: answer !== null && isEquivalent(answer.text, gold),
    smallTokens,
    largeTokens,
    discardedTokens: large.reduce((sum, segment) => sum + segment.discardedTokens, 0),
    offloadRatio: smallTokens + largeTokens === 0 ? 0 : largeTokens / (smallTokens + largeTokens),
    charCoverage: charCoverage(trace.segments),
    spanTokens: large.map((segment) => segment.tokens),
    sideTokens: sideTokens(trace),
    spanExtents: spanExtents(trace.segments),
    handOffMs: large.flatMap((segment) => waitOf(segment)),
    handBackMs: trace.segments.flatMap((segment, i) => {
      const next = trace.segments[i + 1];
      if (segment.origin !== 'large' || next?.origin !== 'small' || next.firstTokenMs === null) return [];
      return [Math.max(0, next.firstTokenMs - segment.endMs)];
    }),
    firstTokenMs: trace.segments.find((segment) => segment.firstTokenMs !== null)?.firstTokenMs ?? null,
    elapsedMs: trace.totals.elapsedMs,
    cost: trace.totals.cost,
    stopReason: trace.stopReason,
    reasons: trace.segments.map((segment) => segment.reason),
    failure: runFailure(trace),
    faults: auditTrace(trace),
  };
}

function countTokens(segments: readonly TraceSegment[]): number {
  return segments.reduce((sum, segment) => sum + segment.tokens, 0);
}

function sideTokens({ totals }: Trace): number {
  const { warmUp, probeTokens, overhead } = totals;
  return (
    (warmUp?.tokens ?? 0) + (probeTokens ?? 0) + (overhead?.smallTokens ?? 0) + (overhead?.largeTokens ?? 0)
  );
}

function waitOf(segment: TraceSegment): number[] {
  return segment.firstTokenMs === null ? [] : [segment.firstTokenMs - segment.startMs];
}

/** A span that ran to the end of the text never got its closing tag, as in SplitReason's masks. */
function charCoverage(segments: readonly TraceSegment[]): number {
  let all = 0;
  let inside = 0;
  for (const [i, segment] of segments.entries()) {
    let length = segment.text.length;
    if (segment.origin === 'large') {
      length += OPEN_TAG_CHARACTERS + (i < segments.length - 1 ? CLOSE_TAG_CHARACTERS : 0);
      inside += length;
    }
    all += length;
  }
  return all === 0 ? 0 : inside / all;
}

function spanExtents(segments: readonly TraceSegment[]): { from: number; to: number }[] {
  const total = segments.reduce((sum, segment) => sum + segment.text.length, 0);
  const extents: { from: number; to: number }[] = [];
  let at = 0;
  for (const segment of segments) {
    const end = at + segment.text.length;
    if (segment.origin === 'large' && end > at) extents.push({ from: at / total, to: end / total });
    at = end;
  }
  return extents;
}
