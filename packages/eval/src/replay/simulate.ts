// Wall-clock of a stored trace under hand-off protocols other than the one that made it. Every token of the trace is
// priced where it stands (no chunk rounding, so short spans are not rounded away); discarded tokens are paid for.

import type { Trace, TraceSegment } from '@baton/split/trace';

import type { CostModel } from './cost-model.ts';
import { WarmedSide } from './warmed-side.ts';

/**
 * serial: SplitReason's prototype. Each hand-off prefills what the large side has not seen, the large model writes chunks of
 *   64, and after each chunk the small model ingests it and decodes 8 probe tokens (all prefixes as one batch, at the
 *   price of one: its best case).
 * relay: hand-off as above, one stream per span, small ingests while the stream arrives and decides from its own logits.
 * pipelined: relay, and the large side ingests the small model's text while it is written, by keep-warm requests as the relay
 *   sends them to a server that reads along (warmed-side.ts).
 * ideal: decoding alone, after the small model's own prompt: no round trip, no other prefill, nothing discarded. A lower bound, not a protocol.
 */
export type Protocol = 'serial' | 'relay' | 'pipelined' | 'ideal';

export const PROTOCOLS: readonly Protocol[] = ['serial', 'relay', 'pipelined', 'ideal'];

export interface SerialParameters {
  chunkTokens: number;
  probeTokens: number;
}

/** SplitReason's defaults (speculative_reasoning.py at f87cddb). */
const SERIAL: SerialParameters = { chunkTokens: 64, probeTokens: 8 };

export interface SimulatedTime {
  totalMs: number;
  smallDecodeMs: number;
  largeDecodeMs: number;
  /** Waiting at hand-offs: round trips and prefill that nothing overlaps. */
  handOffMs: number;
  /** Waiting for the small model's ingestion: its prompt, hand-backs, probes. */
  ingestMs: number;
}

/** Simulates one trace; times in milliseconds. The trace's first segment fixes the prompt's size, where it is recorded. */
export function simulate(
  trace: Trace,
  cost: CostModel,
  protocol: Protocol,
  serial: SerialParameters = SERIAL,
): SimulatedTime {
  const time: SimulatedTime = { totalMs: 0, smallDecodeMs: 0, largeDecodeMs: 0, handOffMs: 0, ingestMs: 0 };
  const promptTokens =
    trace.segments.find((segment) => segment.promptTokens !== undefined)?.promptTokens ?? 0;
  // Tokens of the shared text that each side has in its cache; the large side starts cold.
  let unseenByLarge = promptTokens;
  const warmed = protocol === 'pipelined' ? new WarmedSide(cost, promptTokens) : null;
  if (trace.segments.some((segment) => segment.origin === 'small')) {
    time.ingestMs += promptTokens * cost.small.prefillMs;
  }
  for (const [i, segment] of trace.segments.entries()) {
    if (segment.origin === 'small') {
      const decode = segment.tokens * cost.small.decodeMs;
      time.smallDecodeMs += decode;
      if (warmed) warmed.write(segment.tokens, segment.text.length);
      else unseenByLarge += segment.tokens;
      continue;
    }
    if (protocol !== 'ideal') {
      const reading = warmed ? warmed.handOff() : unseenByLarge * cost.large.prefillMs;
      time.handOffMs += cost.roundTripMs + reading;
    }
    unseenByLarge = 0;
    addLargeSegment(time, segment, i < trace.segments.length - 1, cost, protocol, serial);
  }
  time.totalMs = time.smallDecodeMs + time.largeDecodeMs + time.handOffMs + time.ingestMs;
  return time;
}

function addLargeSegment(
  time: SimulatedTime,
  segment: TraceSegment,
  handedBack: boolean,
  cost: CostModel,
  protocol: Protocol,
  serial: SerialParameters,
): void {
  if (protocol === 'serial') {
    // The cut is known only after the chunk that holds it is complete; each later chunk is a request of its own.
    const chunks = Math.max(1, Math.ceil(segment.tokens / serial.chunkTokens));
    const decoded = handedBack ? chunks * serial.chunkTokens : segment.tokens;
    time.largeDecodeMs += decoded * cost.large.decodeMs;
    time.handOffMs += (chunks - 1) * cost.roundTripMs;
    time.ingestMs += decoded * cost.small.prefillMs + chunks * serial.probeTokens * cost.small.decodeMs;
    return;
  }
  const stream = segment.tokens * cost.large.decodeMs;
  time.largeDecodeMs += stream;
  if (protocol === 'ideal' || !handedBack) return;
  // Discarded tokens arrive while small catches up; what is waited for is small's ingestion beyond the stream, and the
  // deciding token at the least.
  time.ingestMs += Math.max(cost.small.prefillMs, segment.tokens * cost.small.prefillMs - stream);
}
