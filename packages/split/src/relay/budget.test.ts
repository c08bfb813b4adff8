// Near a budget the confidence asked of a hand-off rises smoothly: nothing while half is left, certainty at the end, no jump between;
// and a tag that the small model was half-hearted about is then declined with the two numbers.

import type { LocalModel } from '@baton/runtime';
import * as fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';

import { QUESTION, largeModel, smallModel } from '../../test/pair.ts';
import { auditTrace, solveToTrace } from '../index.ts';
import type { Budget, Trace } from '../index.ts';
import { admit, risingThreshold } from './budget.ts';

const open: LocalModel[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
});
const keep = (model: LocalModel): LocalModel => (open.push(model), model);

describe('the threshold', () => {
  const probability = fc.double({ min: 0, max: 1, noNaN: true });

  it('is as it was while half of the budget is left, and certainty at its end', () => {
    fc.assert(
      fc.property(probability, probability, (base, pressure) => {
        expect(risingThreshold(base, pressure / 2)).toBe(base);
        expect(risingThreshold(base, 1)).toBeCloseTo(1, 12);
      }),
    );
  });

  it('never falls as the pressure grows, and never jumps', () => {
    fc.assert(
      fc.property(
        probability,
        probability,
        fc.double({ min: 0, max: 0.01, noNaN: true }),
        (base, at, step) => {
          const rise = risingThreshold(base, at + step) - risingThreshold(base, at);
          expect(rise).toBeGreaterThanOrEqual(-1e-12);
          // The steepest place of 3x^2 - 2x^3 over half of the range has slope 3.
          expect(rise).toBeLessThanOrEqual(3 * step + 1e-12);
        },
      ),
    );
  });
});

it('pressure is the share used of the tightest limit', () => {
  const spent = { smallTokens: 100, largeTokens: 30, discardedTokens: 10, spans: 2, cost: 1, elapsedMs: 900 };
  const pressure = (budget: Budget): number => {
    const answer = admit(budget, spent, { input: 0, perToken: 0 });
    return answer.admitted ? answer.pressure : Number.NaN;
  };
  expect(pressure({ maxLargeTokens: 50 })).toBeCloseTo(40 / 50, 12);
  expect(pressure({ maxSpans: 8 })).toBeCloseTo(2 / 8, 12);
  expect(pressure({ maxSpans: 8, maxCost: 1.25 })).toBeCloseTo(1 / 1.25, 12);
  expect(pressure({ maxLargeTokens: 50, maxMs: 1000 })).toBeCloseTo(0.9, 12);
});

it('a tag of middling probability is granted far from a budget, and declined near it, with the reason', async () => {
  const run = async (maxMs: number): Promise<Trace> => {
    // A second passes each time that somebody looks: the timer of the budget itself never comes.
    let now = 0;
    const clock = (): number => (now += 1000);
    const trace = await solveToTrace(QUESTION, {
      small: keep(smallModel()),
      large: keep(largeModel()),
      keepWarm: false,
      budget: { maxMs },
      clock,
    });
    expect(auditTrace(trace)).toEqual([]);
    return trace;
  };
  const far = await run(100_000_000);
  expect(far.segments.map((s) => s.reason)).toEqual(['hand-off', 'hand-back', 'end']);
  const tag = Math.exp(far.segments[0]!.decisionLogprob!);
  // The small model is not quite sure: that is what the budget can weigh.
  expect(tag).toBeGreaterThan(0.3);
  expect(tag).toBeLessThan(0.9);
  const used = far.segments[0]!.endMs;
  const near = await run(used * 1.08);
  const declined = near.segments.find((s) => s.reason === 'rejected');
  expect(declined?.detail).toMatch(/^near a budget: tag probability 0\.\d+ is below 0\.\d+$/);
  const [got, asked] = [...declined!.detail!.matchAll(/0\.\d+/g)].map(Number);
  expect(got).toBeCloseTo(tag, 2);
  expect(asked).toBeGreaterThan(got!);
  expect(near.totals.largeTokens).toBe(0);
  expect(near.answer).not.toBeNull();
});
