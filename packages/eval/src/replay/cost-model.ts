// What things cost on the machines that made some traces, read off the traces' own events: round trip, prefill and decode
// of both models. The simulator prices other hand-off protocols with it. Nothing here is assumed from hardware data.

import type { Trace, TraceSegment } from '@baton/split/trace';

import { median } from '../statistics/intervals.ts';

export interface ModelCost {
  /** Milliseconds per decoded token. */
  decodeMs: number;
  /** Milliseconds per ingested token. */
  prefillMs: number;
}

export interface CostModel {
  small: ModelCost;
  large: ModelCost;
  /** Round trip to the large endpoint, with its fixed cost per request, in milliseconds. */
  roundTripMs: number;
  /** How many events each figure was read from; 0 means the figure is a stated fallback, not a measurement. */
  evidence: {
    smallDecode: number;
    smallPrefill: number;
    largeDecode: number;
    handOffs: number;
  };
}

/**
 * Fits the cost model to traces. Decode: time between a segment's first token and its end, over the tokens after the first
 * (discarded ones too: they were decoded), pooled. Hand-off: first-token time = roundTrip + uncached prompt tokens x
 * prefill, by least squares with both terms kept non-negative. Small prefill: the first segment's wait over its prompt.
 * A figure without evidence takes its model's decode cost (prefill is never slower than decode) or, for times, 0.
 */
export function fitCostModel(traces: readonly Trace[]): CostModel {
  const segments = traces.flatMap((trace) => trace.segments);
  const small = decodeCost(segments.filter((segment) => segment.origin === 'small'));
  const large = decodeCost(segments.filter((segment) => segment.origin === 'large'));
  const handOffs = segments.flatMap((segment) => {
    if (segment.origin !== 'large' || segment.firstTokenMs === null) return [];
    const uncached = (segment.promptTokens ?? 0) - (segment.cachedTokens ?? 0);
    return [{ x: Math.max(0, uncached), y: segment.firstTokenMs - segment.startMs }];
  });
  const line = fitNonNegativeLine(handOffs);
  const prefills = traces.flatMap((trace) => {
    const first = trace.segments[0];
    if (first?.origin !== 'small' || first.firstTokenMs === null || !first.promptTokens) return [];
    return [
      (first.firstTokenMs - first.startMs) / Math.max(1, first.promptTokens - (first.cachedTokens ?? 0)),
    ];
  });
  return {
    small: { decodeMs: small.ms, prefillMs: Math.min(median(prefills) ?? small.ms, small.ms || Infinity) },
    large: { decodeMs: large.ms, prefillMs: line.slope },
    roundTripMs: line.intercept,
    evidence: {
      smallDecode: small.tokens,
      smallPrefill: prefills.length,
      largeDecode: large.tokens,
      handOffs: handOffs.length,
    },
  };
}

function decodeCost(segments: readonly TraceSegment[]): { ms: number; tokens: number } {
  let time = 0;
  let tokens = 0;
  for (const segment of segments) {
    const decoded = segment.tokens + segment.discardedTokens;
    if (segment.firstTokenMs === null || decoded < 2) continue;
    time += segment.endMs - segment.firstTokenMs;
    tokens += decoded - 1;
  }
  return { ms: tokens === 0 ? 0 : time / tokens, tokens };
}

/** Least squares for y = intercept + slope x under intercept, slope >= 0; both 0 for no points. */
function fitNonNegativeLine(points: readonly { x: number; y: number }[]): {
  intercept: number;
  slope: number;
} {
  const n = points.length;
  if (n === 0) return { intercept: 0, slope: 0 };
  const meanX = points.reduce((sum, point) => sum + point.x, 0) / n;
  const meanY = points.reduce((sum, point) => sum + point.y, 0) / n;
  let covariance = 0;
  let variance = 0;
  let xx = 0;
  let xy = 0;
  for (const { x, y } of points) {
    covariance += (x - meanX) * (y - meanY);
    variance += (x - meanX) ** 2;
    xx += x * x;
    xy += x * y;
  }
  const slope = variance === 0 ? 0 : covariance / variance;
  if (slope <= 0) return { intercept: Math.max(0, meanY), slope: 0 };
  const intercept = meanY - slope * meanX;
  // A negative intercept: the best line through the origin is the constrained optimum.
  return intercept >= 0 ? { intercept, slope } : { intercept: 0, slope: Math.max(0, xy / xx) };
}
