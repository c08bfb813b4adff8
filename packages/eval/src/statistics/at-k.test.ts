import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { choose, coverageAtK, majorityAtK, powersOfTwo } from './at-k.ts';

/** All k-subsets of the samples, by brute force: what the formulas must equal. */
function subsets<T>(items: readonly T[], k: number): T[][] {
  if (k === 0) return [[]];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), k - 1).map((rest) => [item, ...rest]));
}

const RIGHT = 0;
const NONE = -1;
const answers = fc.array(fc.integer({ min: NONE, max: 3 }), { minLength: 1, maxLength: 9 });

function bruteMajority(samples: readonly number[], k: number): number {
  const all = subsets(samples, k);
  let won = 0;
  for (const subset of all) {
    const counts = new Map<number, number>();
    for (const answer of subset) if (answer !== NONE) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    const most = Math.max(0, ...counts.values());
    const winners = [...counts].filter(([, count]) => count === most).map(([answer]) => answer);
    if (winners.includes(RIGHT)) won += 1 / winners.length;
  }
  return won / all.length;
}

test('maj@k and cov@k equal the average over every subset of k samples', () => {
  fc.assert(
    fc.property(answers, fc.nat(), (samples, pick) => {
      const k = 1 + (pick % samples.length);
      const wrong = [1, 2, 3]
        .map((value) => samples.filter((answer) => answer === value).length)
        .filter((n) => n > 0);
      const right = samples.filter((answer) => answer === RIGHT).length;
      const abstained = samples.filter((answer) => answer === NONE).length;
      expect(majorityAtK({ right, wrong, abstained }, k)).toBeCloseTo(bruteMajority(samples, k), 10);
      const any = subsets(samples, k).map((subset): number => (subset.includes(RIGHT) ? 1 : 0));
      expect(coverageAtK(samples.length, right, k)).toBeCloseTo(
        any.reduce((a, b) => a + b, 0) / any.length,
        10,
      );
    }),
  );
});

test('with k = 1 both are the mean accuracy, and k beyond the samples is undefined', () => {
  expect(majorityAtK({ right: 3, wrong: [1, 2], abstained: 4 }, 1)).toBeCloseTo(0.3);
  expect(coverageAtK(10, 3, 1)).toBeCloseTo(0.3);
  expect(coverageAtK(10, 3, 11)).toBeNull();
  expect(majorityAtK({ right: 1, wrong: [], abstained: 0 }, 2)).toBeNull();
});

test('many samples stay finite and sensible', () => {
  expect(majorityAtK({ right: 130, wrong: [60, 40, 26], abstained: 0 }, 64)).toBeGreaterThan(0.99);
  expect(choose(1000, 500)).toBeGreaterThan(1e299);
});

test('k runs through the powers of two and ends at n', () => {
  expect(powersOfTwo(1)).toEqual([1]);
  expect(powersOfTwo(12)).toEqual([1, 2, 4, 8, 12]);
  expect(powersOfTwo(0)).toEqual([]);
});
