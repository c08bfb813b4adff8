// What every policy promises, whatever its name: the segments are the answer, no tag is shown, every budget holds, every token and
// every price has its place, the same seed gives the same trace, and a trace replays to itself.

import type { LocalModel } from '@baton/runtime';
import { afterEach, describe, expect, it } from 'vitest';

import { QUESTION, largeModel, smallModel } from '../../test/pair.ts';
import { auditTrace, parsePolicy, replayEvents, solve, solveToTrace, traceFromEvents } from '../index.ts';
import type { Budget, SolveEvent, SolveOptions, Trace } from '../index.ts';

const open: LocalModel[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
});
const keep = (model: LocalModel): LocalModel => (open.push(model), model);

const POLICIES = [
  'small',
  'large',
  'learned',
  'threshold:0.3',
  'grant:0.5',
  'random:0.5:6',
  'entropy:0.4',
  'cues',
  'call',
  'spec-reason:5',
  'step-score:-0.5',
  'speculative:4',
  'subselect:3',
  'rewrite:2',
  'gated:-0.01:learned',
] as const;

const PRICES = { input: 3, cachedInput: 0.3, output: 15 };

async function run(
  policy: string,
  options: Partial<SolveOptions> = {},
  plain = false,
): Promise<{ trace: Trace; events: SolveEvent[] }> {
  const events: SolveEvent[] = [];
  const small = keep(smallModel({ specialTags: !plain }));
  const trace = await solveToTrace(
    QUESTION,
    {
      small,
      large: keep(largeModel()),
      policy,
      prices: PRICES,
      keepWarm: false,
      sampling: { temperature: 0.8, seed: 11 },
      ...options,
    },
    (event) => events.push(event),
  );
  expect(auditTrace(trace)).toEqual([]);
  expect(trace.segments.map((s) => s.text).join('')).toBe(trace.text);
  expect(events.flatMap((e) => (e.type === 'text' ? [e.text] : [])).join('')).toBe(trace.text);
  expect(trace.text).not.toMatch(/<\/?bigmodel>|<\/?call>/);
  expect(traceFromEvents(events)).toEqual(trace);
  expect(traceFromEvents(replayEvents(trace))).toEqual(trace);
  return { trace, events };
}

/** Large tokens that anybody had to generate. */
const generated = ({ totals }: Trace): number =>
  totals.largeTokens +
  totals.discardedTokens +
  (totals.overhead?.largeTokens ?? 0) +
  (totals.warmUp?.tokens ?? 0);
const essence = (trace: Trace): unknown => trace.segments.map((s) => [s.origin, s.text, s.tokens, s.reason]);

describe.each(POLICIES)('%s', (policy) => {
  it('has its name from itself, and keeps its books', async () => {
    expect(parsePolicy(policy).name).toBe(policy);
    for (const plain of [false, true]) {
      const { trace } = await run(policy, {}, plain);
      expect(['end', 'length', 'loop']).toContain(trace.stopReason);
    }
  });

  it('gives the same trace for the same seed', async () => {
    expect(essence((await run(policy)).trace)).toEqual(essence((await run(policy)).trace));
  });

  it.each<[string, Budget]>([
    ['nothing', { maxOffload: 0, maxSpans: 0, maxLargeTokens: 0, maxCost: 0 }],
    ['no tokens', { maxTokens: 0 }],
    ['one token', { maxTokens: 1 }],
    ['one large token', { maxLargeTokens: 1 }],
    ['a few large tokens', { maxLargeTokens: 12 }],
    ['one span', { maxSpans: 1 }],
    ['short spans', { maxSpanTokens: 3 }],
    ['next to no money', { maxCost: 1e-9 }],
    ['a little money', { maxCost: 0.004 }],
    ['a share', { maxOffload: 0.3 }],
    ['a few tokens', { maxTokens: 40 }],
  ])('keeps to a budget of %s', async (_, budget) => {
    const { trace } = await run(policy, { budget });
    const { totals } = trace;
    expect(totals.smallTokens + totals.largeTokens).toBeLessThanOrEqual(budget.maxTokens ?? 4096);
    if (budget.maxLargeTokens !== undefined)
      expect(generated(trace)).toBeLessThanOrEqual(budget.maxLargeTokens);
    if (budget.maxCost !== undefined) expect(totals.cost).toBeLessThanOrEqual(budget.maxCost);
    if (policy === 'large') return;
    if (budget.maxSpans !== undefined) expect(totals.offloadSpans).toBeLessThanOrEqual(budget.maxSpans);
    if (budget.maxSpanTokens !== undefined)
      for (const s of trace.segments) if (s.origin === 'large') expect(s.tokens).toBeLessThanOrEqual(3);
    if (budget.maxOffload !== undefined) expect(totals.offloadRatio).toBeLessThanOrEqual(budget.maxOffload);
    // Without the large model the small one answers all the same.
    if (budget.maxSpans === 0) expect(trace.stopReason).toBe('end');
  });

  it('can be stopped at every point, with a complete trace', async () => {
    const { events } = await run(policy);
    for (let at = 0; at < events.length; at += Math.max(1, Math.floor(events.length / 12))) {
      const control = new AbortController();
      let seen = 0;
      let last: SolveEvent | null = null;
      const started = performance.now();
      const options = {
        small: keep(smallModel()),
        large: keep(largeModel()),
        policy,
        signal: control.signal,
      };
      for await (const event of solve(QUESTION, { ...options, sampling: { temperature: 0.8, seed: 11 } })) {
        if (seen++ === at) control.abort();
        last = event;
      }
      expect(performance.now() - started).toBeLessThan(10_000);
      expect(last).toMatchObject({ type: 'end' });
      expect(auditTrace((last as SolveEvent & { type: 'end' }).trace)).toEqual([]);
    }
  });
});
