// A trace as events again, and events as a trace: what was recorded can be shown, checked and rebuilt without a model.

import type { SolveEvent } from '../events.ts';
import { lastBoxed } from '../text/boxed.ts';
import type { Trace } from '../trace.ts';

/** The events that a listener would have seen, in order, with their times. One text event per segment. */
export function* replayEvents(trace: Trace): Generator<SolveEvent> {
  const { question, prompt, models, policy, seed, startedAt } = trace;
  yield { type: 'start', question, prompt, models, policy, seed, startedAt };
  for (const [index, segment] of trace.segments.entries()) {
    const { origin, startMs, text, tokens, firstTokenMs } = segment;
    yield { type: 'segment-start', index, origin, startMs };
    if (text !== '' || tokens > 0)
      yield { type: 'text', index, origin, text, tokens, atMs: firstTokenMs ?? startMs };
    yield { type: 'segment-end', index, segment };
  }
  for (const note of trace.notes) yield { type: 'note', note };
  yield { type: 'end', trace };
}

/** One line per way in which the trace contradicts itself; empty for a sound one. */
export function auditTrace(trace: Trace): string[] {
  const faults: string[] = [];
  const expect = (what: string, stated: unknown, counted: unknown): void => {
    if (stated !== counted) faults.push(`${what}: stated ${String(stated)}, counted ${String(counted)}`);
  };
  const sum = (pick: (segment: Trace['segments'][number]) => number): number =>
    trace.segments.reduce((total, segment) => total + pick(segment), 0);
  const small = sum((s) => (s.origin === 'small' ? s.tokens : 0));
  const large = sum((s) => (s.origin === 'large' ? s.tokens : 0));
  const { totals } = trace;
  expect('text', trace.text, trace.segments.map((s) => s.text).join(''));
  expect('answer', trace.answer, lastBoxed(trace.text));
  expect('small tokens', totals.smallTokens, small);
  expect('large tokens', totals.largeTokens, large);
  expect(
    'discarded tokens',
    totals.discardedTokens,
    sum((s) => s.discardedTokens),
  );
  expect('spans', totals.offloadSpans, trace.segments.filter((s) => s.origin === 'large').length);
  expect('offload ratio', totals.offloadRatio, small + large === 0 ? 0 : large / (small + large));
  let clock = 0;
  for (const [i, segment] of trace.segments.entries()) {
    const first = segment.firstTokenMs ?? segment.startMs;
    if (segment.startMs < clock || first < segment.startMs || segment.endMs < first)
      faults.push(`segment ${i} runs backwards in time`);
    // A request may be sent while the segment before it still ends.
    clock = segment.startMs;
    if (segment.discardedTokens > 0 && segment.origin === 'small')
      faults.push(`segment ${i}: small text is never discarded`);
  }
  if (totals.elapsedMs < clock) faults.push('the trace ends before its last segment begins');
  return faults;
}
