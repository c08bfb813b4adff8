// Refuses what is no trace before anything is computed from it. A trace whose sums do not follow from its segments is still
// scored, from its segments, and the report says how many there are (auditTrace of @baton/split).

import { TRACE_SCHEMA } from '@baton/split/trace';
import type { Trace } from '@baton/split/trace';

import { EvalError } from '../eval-error.ts';

/** Throws EvalError unless the value has a trace's shape (as far as scoring and replay need it). */
export function assertTrace(value: unknown, where: string): asserts value is Trace {
  const trace = value as Partial<Trace> | null;
  const fail = (what: string): never => {
    throw new EvalError(`${where}: ${what}`);
  };
  if (typeof trace !== 'object' || trace === null) fail('no trace in this row');
  if (trace!.schema !== TRACE_SCHEMA)
    fail(`trace schema ${JSON.stringify(trace!.schema)}, expected "${TRACE_SCHEMA}"`);
  if (typeof trace!.text !== 'string' || typeof trace!.question !== 'string')
    fail('trace without text or question');
  if (!Array.isArray(trace!.segments) || typeof trace!.totals !== 'object')
    fail('trace without segments or totals');
  for (const [i, segment] of trace!.segments!.entries()) {
    const counts = [segment.tokens, segment.discardedTokens, segment.startMs, segment.endMs];
    if (typeof segment.text !== 'string' || !counts.every(Number.isFinite))
      fail(`segment ${i} of the trace is malformed`);
    if (segment.origin !== 'small' && segment.origin !== 'large') fail(`segment ${i} has no owner`);
  }
}
