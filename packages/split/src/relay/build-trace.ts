// The trace of a finished run: the book's segments, summed up.

import { TRACE_SCHEMA } from '../trace.ts';
import type { Trace, TraceModel, TraceStopReason, TraceTotals } from '../trace.ts';
import { lastBoxed } from '../text/boxed.ts';
import type { Relay } from './relay.ts';
import { ESTIMATED } from './span.ts';

export interface TraceHead {
  question: string;
  prompt: string;
  models: { small: TraceModel; large: TraceModel | null };
  policy: string;
  seed: number | null;
  stopReason: TraceStopReason;
  startedAt: string;
}

export function buildTrace(relay: Relay, head: TraceHead): Trace {
  const { ledger, large, priced, now } = relay.parts;
  const pending = large?.pendingCost ?? 0;
  if (priced && (large?.estimated || pending > 0)) ledger.note(ESTIMATED);
  const smallTokens = ledger.tokens('small');
  const largeTokens = ledger.tokens('large');
  const all = smallTokens + largeTokens;
  const { overhead } = relay;
  const totals: TraceTotals = {
    smallTokens,
    largeTokens,
    discardedTokens: ledger.discarded,
    offloadRatio: all === 0 ? 0 : largeTokens / all,
    offloadSpans: ledger.spans,
    elapsedMs: now(),
    cost: priced ? relay.cost : null,
    ...(priced && large && large.otherCost + pending > 0 ? { otherCost: large.otherCost + pending } : {}),
    ...(large && large.warmUp.requests > 0 ? { warmUp: { ...large.warmUp } } : {}),
    ...(relay.earlySent > 0 ? { earlyRequests: { sent: relay.earlySent, dropped: relay.earlyDropped } } : {}),
    probeTokens: relay.probeTokens + (relay.parts.small?.probedTokens ?? 0),
    ...(overhead.requests > 0 || overhead.smallTokens > 0 ? { overhead: { ...overhead } } : {}),
  };
  const models = {
    // Known only after the first request where the endpoint was asked for its model.
    small: relay.parts.small
      ? { id: relay.parts.small.model.id, location: relay.parts.small.model.location }
      : head.models.small,
    large: large ? { id: large.model.id, location: large.model.location } : null,
  };
  return {
    schema: TRACE_SCHEMA,
    question: head.question,
    prompt: head.prompt,
    segments: ledger.segments,
    text: ledger.text,
    answer: lastBoxed(ledger.text),
    totals,
    models,
    policy: head.policy,
    seed: head.seed,
    stopReason: head.stopReason,
    startedAt: head.startedAt,
    notes: ledger.notes,
  };
}
