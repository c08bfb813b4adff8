// The figures beside a trace, from its segments alone, so that live and finished runs are counted the same way.

import type { Origin, TraceTotals } from '@baton/split/trace';
import type { LiveSegment } from '../run/live-trace.ts';

export interface ModelFigures {
  tokens: number;
  /** Tokens per second while writing (from the first to the last token of each segment); null where unmeasurable. */
  perSecond: number | null;
}

export interface Figures {
  small: ModelFigures;
  large: ModelFigures;
  offloadRatio: number;
  offloadSpans: number;
  discardedTokens: number;
}

/** `nowMs`: the run's clock, for the segment in progress. A finished run's own totals win over the sums. */
export function figuresOf(
  segments: readonly LiveSegment[],
  nowMs: number,
  totals: TraceTotals | null,
): Figures {
  const small = modelFigures(segments, 'small', nowMs);
  const large = modelFigures(segments, 'large', nowMs);
  const all = small.tokens + large.tokens;
  return {
    small,
    large,
    offloadRatio: totals?.offloadRatio ?? (all === 0 ? 0 : large.tokens / all),
    offloadSpans: totals?.offloadSpans ?? segments.filter((s) => s.origin === 'large').length,
    discardedTokens: totals?.discardedTokens ?? segments.reduce((n, s) => n + s.discardedTokens, 0),
  };
}

function modelFigures(segments: readonly LiveSegment[], origin: Origin, nowMs: number): ModelFigures {
  let tokens = 0;
  let timed = 0;
  let ms = 0;
  for (const segment of segments) {
    if (segment.origin !== origin) continue;
    tokens += segment.tokens;
    // The first token's wait is latency, not speed.
    const written = segment.tokens + segment.discardedTokens - 1;
    const time = segment.firstTokenMs === null ? 0 : (segment.endMs ?? nowMs) - segment.firstTokenMs;
    if (written < 1 || time <= 0) continue;
    timed += written;
    ms += time;
  }
  return { tokens, perSecond: ms > 0 ? (timed * 1000) / ms : null };
}

export function seconds(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

export function speed(perSecond: number | null): string {
  if (perSecond === null) return '–';
  return perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}
