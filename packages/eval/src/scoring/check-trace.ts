// Checks a trace's bookkeeping before anything is computed from it: the sums that a report is made of must follow from
// the segments. A trace that fails is still scored, from its segments, and the report says how many failed and why.

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

/** One line per broken identity; empty for a sound trace. */
export function checkTrace(trace: Trace): string[] {
  const faults: string[] = [];
  const sum = (pick: (segment: Trace['segments'][number]) => number): number =>
    trace.segments.reduce((total, segment) => total + pick(segment), 0);
  const small = sum((segment) => (segment.origin === 'small' ? segment.tokens : 0));
  const large = sum((segment) => (segment.origin === 'large' ? segment.tokens : 0));
  const discarded = sum((segment) => segment.discardedTokens);
  const ratio = small + large === 0 ? 0 : large / (small + large);
  const { totals } = trace;
  if (trace.segments.map((segment) => segment.text).join('') !== trace.text) {
    faults.push('the segments joined are not the text');
  }
  const differs = (name: string, stated: number, counted: number): void => {
    if (Math.abs(stated - counted) > 1e-9) faults.push(`${name} is ${stated}, the segments give ${counted}`);
  };
  differs('smallTokens', totals.smallTokens, small);
  differs('largeTokens', totals.largeTokens, large);
  differs('discardedTokens', totals.discardedTokens, discarded);
  differs('offloadRatio', totals.offloadRatio, ratio);
  let before = 0;
  for (const [i, segment] of trace.segments.entries()) {
    const first = segment.firstTokenMs ?? segment.startMs;
    if (segment.startMs < before - 1 || first < segment.startMs || segment.endMs < first) {
      faults.push(`segment ${i} runs backwards in time`);
      break;
    }
    before = segment.startMs;
  }
  return faults;
}
