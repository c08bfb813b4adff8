import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeTrace } from '../../test/make-trace.ts';
import type { Part } from '../../test/make-trace.ts';
import { scoreTrace } from './score.ts';

const score = (parts: readonly Part[], gold = '7'): ReturnType<typeof scoreTrace> =>
  scoreTrace({ id: 'a', sample: 0, trace: makeTrace(parts) }, gold);

test('a relay trace: who wrote what, what was thrown away, where the spans lie', () => {
  const run = score([
    { origin: 'small', text: '0123456789', tokens: 6 },
    { origin: 'large', text: 'abcdefghij', tokens: 3, discarded: 2 },
    { origin: 'small', text: ' so \\boxed{7.0}.....', tokens: 3, reason: 'end' },
  ]);
  expect(run).toMatchObject({
    right: true,
    smallTokens: 9,
    largeTokens: 3,
    discardedTokens: 2,
    spanTokens: [3],
  });
  expect(run.offloadRatio).toBe(0.25);
  expect(run.answer).toEqual({ text: '7.0', rule: 'boxed' });
  expect(run.spanExtents).toEqual([{ from: 0.25, to: 0.5 }]);
  // 10 characters in the span, 10 + 11 of tags, 40 in all without tags.
  expect(run.charCoverage).toBeCloseTo(31 / 61);
  expect(run.handOffMs).toEqual([30 + 46 * 0.5 + 5]);
  expect(run.handBackMs).toEqual([2]);
  expect(run.faults).toEqual([]);
});

test('tokens outside every segment are counted apart', () => {
  const trace = makeTrace([{ origin: 'small', tokens: 5 }]);
  trace.totals.warmUp = { requests: 2, promptTokens: 80, cachedTokens: 40, tokens: 2 };
  trace.totals.overhead = { smallTokens: 3, largeTokens: 4, requests: 1 };
  trace.totals.probeTokens = 8;
  expect(scoreTrace({ id: 'a', sample: 0, trace }, '7')).toMatchObject({
    sideTokens: 17,
    smallTokens: 5,
    offloadRatio: 0,
  });
});

test('edge traces: nothing written, small alone, large alone, an unclosed span', () => {
  expect(score([])).toMatchObject({
    right: false,
    answer: null,
    offloadRatio: 0,
    charCoverage: 0,
    spanTokens: [],
  });
  expect(score([{ origin: 'small', tokens: 5 }])).toMatchObject({ offloadRatio: 0, spanExtents: [] });
  expect(score([{ origin: 'large', tokens: 5 }])).toMatchObject({ offloadRatio: 1, charCoverage: 1 });
  expect(score([{ origin: 'large', tokens: 0, text: '' }]).spanExtents).toEqual([]);
});

test('the gold answer itself must be stated: a wrong one or none is wrong', () => {
  expect(score([{ origin: 'small', text: 'so it is 7', tokens: 4 }]).right).toBe(false);
  expect(score([{ origin: 'small', text: '\\boxed{8}', tokens: 4 }]).right).toBe(false);
});

test('a trace that contradicts itself is scored from its segments, and says how', () => {
  const sound = makeTrace([
    { origin: 'small', tokens: 5 },
    { origin: 'large', tokens: 5, discarded: 1 },
  ]);
  const scored = (trace: typeof sound): ReturnType<typeof scoreTrace> =>
    scoreTrace({ id: 'a', sample: 0, trace }, '7');
  expect(scored(sound).faults).toEqual([]);
  const broken: [RegExp, (trace: typeof sound) => void][] = [
    [/^text: stated/, (trace) => (trace.text += 'x')],
    [/^answer: stated 7/, (trace) => (trace.answer = '7')],
    [/^smallTokens: stated 6, counted 5/, (trace) => (trace.totals.smallTokens = 6)],
    [/^largeTokens: stated 6, counted 5/, (trace) => (trace.totals.largeTokens = 6)],
    [/^discardedTokens: stated 0, counted 1/, (trace) => (trace.totals.discardedTokens = 0)],
    [/^offloadRatio: stated 0.9, counted 0.5/, (trace) => (trace.totals.offloadRatio = 0.9)],
    [/^offloadSpans: stated 0, counted 1/, (trace) => (trace.totals.offloadSpans = 0)],
    [/segment 1 runs backwards/, (trace) => (trace.segments[1]!.endMs = 0)],
  ];
  for (const [message, damage] of broken) {
    const trace = structuredClone(sound);
    damage(trace);
    const { faults, smallTokens, largeTokens } = scored(trace);
    expect(faults.join()).toMatch(message);
    expect({ smallTokens, largeTokens }).toEqual({ smallTokens: 5, largeTokens: 5 });
  }
});

test('for any trace the shares lie between 0 and 1 and the tokens add up', () => {
  const part = fc.record({
    origin: fc.constantFrom('small' as const, 'large' as const),
    text: fc.string({ unit: 'grapheme', maxLength: 20 }),
    tokens: fc.nat({ max: 20 }),
    discarded: fc.constant(0),
  });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const run = score(parts);
      for (const share of [run.offloadRatio, run.charCoverage]) {
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
      }
      expect(run.spanTokens.reduce((a, b) => a + b, 0)).toBe(run.largeTokens);
      for (const span of run.spanExtents) expect(span.to).toBeGreaterThan(span.from);
      expect(run.faults).toEqual([]);
    }),
  );
});
