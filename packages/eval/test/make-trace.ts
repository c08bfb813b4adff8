// Builds sound traces for tests from a list of segments with known costs. Times follow from the costs, so that a fitted
// cost model can be compared with the one that made them.

import { TRACE_SCHEMA } from '@baton/split/trace';
import type { Origin, SegmentReason, Trace, TraceSegment } from '@baton/split/trace';

import { extractAnswer } from '../src/index.ts';
import type { CostModel } from '../src/index.ts';

export interface Part {
  origin: Origin;
  text?: string;
  tokens: number;
  discarded?: number;
  reason?: SegmentReason;
}

export const COST: Omit<CostModel, 'evidence'> = {
  small: { decodeMs: 2, prefillMs: 0.1 },
  large: { decodeMs: 5, prefillMs: 0.5 },
  roundTripMs: 30,
};

/** A trace whose prompt has 40 tokens and whose large side caches everything it has seen. */
export function makeTrace(parts: readonly Part[], cost = COST, policy = 'learned'): Trace {
  let now = 0;
  let unseen = 40;
  const segments = parts.map((part, i): TraceSegment => {
    const discarded = part.discarded ?? 0;
    const small = part.origin === 'small';
    const wait = small
      ? i === 0
        ? 40 * cost.small.prefillMs
        : 0
      : cost.roundTripMs + unseen * cost.large.prefillMs;
    const decode = small ? cost.small.decodeMs : cost.large.decodeMs;
    const startMs = now;
    const decoded = part.tokens + discarded;
    const firstTokenMs = decoded === 0 ? null : startMs + wait + decode;
    now = startMs + wait + decoded * decode;
    const promptTokens = small ? 40 : unseen;
    unseen = small ? unseen + part.tokens : 0;
    return {
      origin: part.origin,
      text: part.text ?? 'w'.repeat(part.tokens),
      tokens: part.tokens,
      discardedTokens: discarded,
      startMs,
      firstTokenMs,
      endMs: now,
      reason: part.reason ?? (small ? 'hand-off' : 'hand-back'),
      ...(i === 0 || !small ? { promptTokens, cachedTokens: 0 } : {}),
    };
  });
  const sum = (pick: (segment: TraceSegment) => number): number =>
    segments.reduce((all, one) => all + pick(one), 0);
  const smallTokens = sum((one) => (one.origin === 'small' ? one.tokens : 0));
  const largeTokens = sum((one) => (one.origin === 'large' ? one.tokens : 0));
  const text = segments.map((segment) => segment.text).join('');
  const stated = extractAnswer(text);
  return {
    schema: TRACE_SCHEMA,
    question: 'q',
    prompt: 'q\n',
    segments,
    text,
    answer: stated?.rule === 'boxed' ? stated.text : null,
    totals: {
      smallTokens,
      largeTokens,
      discardedTokens: sum((one) => one.discardedTokens),
      offloadRatio: smallTokens + largeTokens === 0 ? 0 : largeTokens / (smallTokens + largeTokens),
      offloadSpans: segments.filter((one) => one.origin === 'large').length,
      elapsedMs: now,
      cost: null,
    },
    models: { small: { id: 's', location: 'test' }, large: { id: 'l', location: 'test' } },
    policy,
    seed: 1,
    stopReason: 'end',
    startedAt: '2026-01-01T00:00:00.000Z',
    notes: [],
  };
}
