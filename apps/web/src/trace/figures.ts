// The figures beside a trace, from its segments alone, so that live and finished runs are counted the same way.

import type { Origin, TraceTotals } from '@baton/split/trace';
import type { LiveSegment } from '../run/live-trace.ts';

export interface ModelFigures {
  tokens: number;
  /** Tokens per second; null where unmeasurable. */
  perSecond: number | null;
}

export interface Figures {
  small: ModelFigures;
  large: ModelFigures;
  offloadRatio: number;
  offloadSpans: number;
  discardedTokens: number;
}

/** `nowMs`: the run's clock, for the segment in progress. A finished run's own totals win over the sums. A span is one that wrote. */
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
    offloadSpans: segments.filter((s) => s.origin === 'large' && s.tokens + s.discardedTokens > 0).length,
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
    const [written, time] = origin === 'small' ? writing(segment, nowMs) : answering(segment, nowMs);
    if (written < 1 || time <= 0) continue;
    timed += written;
    ms += time;
  }
  return { tokens, perSecond: ms > 0 ? (timed * 1000) / ms : null };
}

type Pace = [tokens: number, ms: number];

/** From the first token on: the wait for it is reading, not writing. */
function writing({ tokens, firstTokenMs, endMs }: LiveSegment, nowMs: number): Pace {
  return firstTokenMs === null ? [0, 0] : [tokens - 1, (endMs ?? nowMs) - firstTokenMs];
}

/** From the request on: a stream may arrive all at once, and its first token then says nothing of the others' time. */
function answering({ tokens, startMs, lastTokenMs, endMs }: LiveSegment, nowMs: number): Pace {
  return [tokens, (lastTokenMs ?? endMs ?? nowMs) - startMs];
}

export function seconds(ms: number): string {
  // Rounded first: 59.96 s is a minute, and 119.6 s are two.
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  if (Math.round(ms / 100) < 600) return `${(ms / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export function tokenCount(tokens: number): string {
  return tokens === 1 ? '1 token' : `${tokens} tokens`;
}

export function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

export function speed(perSecond: number | null): string {
  if (perSecond === null) return '–';
  return perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}
