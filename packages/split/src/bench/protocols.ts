// The same questions under four protocols, and what their traces say: how long a hand-off and a hand-back take, what is
// thrown away, and how far the whole is from the ideal that the trace itself allows.

import type { SolveOptions } from '../solve.ts';
import type { Trace, TraceSegment } from '../trace.ts';
import { mean, median } from './middle.ts';
import { paperSerial } from './paper-serial.ts';

export type Protocol = 'paper-serial' | 'serial' | 'keep-warm' | 'pipelined';

/** SplitReason's protocol; ours with every overlap switched off; ours with an endpoint that takes whole prompts only; ours. */
export const PROTOCOLS: Readonly<Record<Protocol, Partial<SolveOptions>>> = {
  'paper-serial': { policy: paperSerial(), keepWarm: false, earlyRequest: false },
  serial: { policy: 'learned', keepWarm: false, earlyRequest: false, overlap: false },
  'keep-warm': { policy: 'learned', keepWarm: true, streamPrompts: false },
  pipelined: { policy: 'learned', keepWarm: true },
};

export interface ProtocolFigures {
  protocol: Protocol;
  questions: number;
  spans: number;
  /** Medians, in milliseconds. From the decision to hand off to the arrival of the first large token. */
  handOffMs: number | null;
  /** From the arrival of the last kept large token to the decision that the span ends there. */
  decisionMs: number | null;
  /** From that arrival to the small model's first own token. */
  handBackMs: number | null;
  /**
   * A decode step in the same place: from the decision to the small model's first own token, which is one pass over the close tag
   * and the choice of a token. Absent in figures from before it was measured.
   */
  stepThereMs?: number | null;
  /** One token of the small and of the large model, from the traces. */
  smallTokenMs: number | null;
  largeTokenMs: number | null;
  /** Means per question, in milliseconds. */
  wallClockMs: number;
  idealMs: number;
  /** wallClockMs / idealMs. */
  overIdeal: number;
  /** The ideal of a large model that reads in no time. */
  instantMs: number;
  /** wallClockMs / instantMs. */
  overInstant: number;
  /** Large tokens that were generated and thrown away, and their share of all large tokens. */
  discardedTokens: number;
  discardedShare: number;
  /** Tokens that the small model decoded only to find out where a span ends. */
  probeTokens: number;
  warmUpRequests: number;
  offloadRatio: number;
}

/** `readMs`: how long the large model reads a character. */
export function summarise(
  protocol: Protocol,
  traces: readonly Trace[],
  latencyMs: number,
  readMs: number,
): ProtocolFigures {
  const spans = traces.flatMap((trace) =>
    trace.segments.flatMap((segment, i) =>
      segment.origin === 'large' ? [{ segment, next: trace.segments[i + 1] }] : [],
    ),
  );
  const handOff = spans.flatMap(({ segment }) =>
    segment.firstTokenMs === null ? [] : [segment.firstTokenMs - segment.startMs],
  );
  const decision = spans.flatMap(({ segment }) =>
    segment.lastTokenMs === undefined ? [] : [segment.endMs - segment.lastTokenMs],
  );
  const handBack = spans.flatMap(({ segment, next }) =>
    next?.firstTokenMs === undefined || next.firstTokenMs === null || segment.lastTokenMs === undefined
      ? []
      : [next.firstTokenMs - segment.lastTokenMs],
  );
  const stepThere = spans.flatMap(({ segment, next }) =>
    next?.firstTokenMs === undefined || next.firstTokenMs === null ? [] : [next.firstTokenMs - segment.endMs],
  );
  const wallClockMs = mean(traces.map((trace) => trace.totals.elapsedMs));
  const idealMs = mean(traces.map((trace) => idealOf(trace, latencyMs, readMs)));
  const instantMs = mean(traces.map((trace) => idealOf(trace, latencyMs, 0)));
  const total = (pick: (trace: Trace) => number): number =>
    traces.reduce((sum, trace) => sum + pick(trace), 0);
  const large = total((t) => t.totals.largeTokens);
  const discardedTokens = total((t) => t.totals.discardedTokens);
  const all = large + total((t) => t.totals.smallTokens);
  return {
    protocol,
    questions: traces.length,
    spans: spans.length,
    handOffMs: median(handOff),
    decisionMs: median(decision),
    handBackMs: median(handBack),
    stepThereMs: median(stepThere),
    smallTokenMs: median(tokenTimes(traces, 'small')),
    largeTokenMs: median(tokenTimes(traces, 'large')),
    wallClockMs,
    idealMs,
    overIdeal: wallClockMs / idealMs,
    instantMs,
    overInstant: wallClockMs / instantMs,
    discardedTokens,
    discardedShare: large + discardedTokens === 0 ? 0 : discardedTokens / (large + discardedTokens),
    probeTokens: total((t) => t.totals.probeTokens ?? 0),
    warmUpRequests: total((t) => t.totals.warmUp?.requests ?? 0),
    offloadRatio: all === 0 ? 0 : large / all,
  };
}

/**
 * What no protocol can avoid, from the trace's own times: the small model's first token (its prompt), then every kept token at
 * the pace at which its segment came, and one round trip for each span. While one model writes the other reads, and a piece
 * takes the longer of the two, as in SplitReason's simulation of the pipeline ("per chunk max(writer decode, other's prefill)"):
 * where the large model needs longer to read what is new to it, at `readMs` for a character, than it took to come, the rest of that is
 * waited for. No decision, nothing thrown away.
 */
export function idealOf(trace: Trace, latencyMs: number, readMs: number): number {
  let ms = 0;
  let unread = trace.prompt.length;
  let sinceMs = 0;
  for (const [i, segment] of trace.segments.entries()) {
    if (segment.firstTokenMs === null) continue;
    if (segment.origin === 'large') {
      ms += Math.max(0, unread * readMs - (segment.startMs - sinceMs));
      unread = 0;
      sinceMs = endOf(segment);
    } else unread += segment.text.length;
    const writing = Math.max(0, endOf(segment) - segment.firstTokenMs);
    ms += writing;
    if (i === 0) ms += segment.firstTokenMs - segment.startMs;
    // The first token takes as long as those after it.
    else ms += segment.tokens > 1 ? writing / (segment.tokens - 1) : 0;
    if (segment.origin === 'large') ms += latencyMs;
  }
  return ms;
}

/** Mean time per token behind the first, of each segment that has several. */
function tokenTimes(traces: readonly Trace[], origin: TraceSegment['origin']): number[] {
  return traces.flatMap((trace) =>
    trace.segments.flatMap((s) =>
      s.origin === origin && s.tokens > 1 && s.firstTokenMs !== null
        ? [(endOf(s) - s.firstTokenMs) / (s.tokens - 1)]
        : [],
    ),
  );
}

/** When the last kept token came. */
function endOf(segment: TraceSegment): number {
  return segment.lastTokenMs ?? segment.pieces?.at(-1)?.[0] ?? segment.endMs;
}
