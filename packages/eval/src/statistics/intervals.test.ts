import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bootstrap, mean, median, quantile, wilson } from './intervals.ts';
import { comparePaired, gapClosed, signTest } from './paired.ts';
import { seededRandom } from '@baton/split';
import { runSeed } from './run-seed.ts';

test("Wilson's interval agrees with published values", () => {
  // Newcombe 1998, table I: 81/263 -> 0.2553 to 0.3662; 15/148 -> 0.0624 to 0.1605; 0/20 -> 0 to 0.1611.
  const cases = [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
  ] as const;
  for (const [right, n, low, high] of cases) {
    expect(wilson(right, n).low).toBeCloseTo(low, 4);
    expect(wilson(right, n).high).toBeCloseTo(high, 4);
  }
  expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
  expect(wilson(7, 7).high).toBe(1);
});

test('the bootstrap of a mean is close to the normal interval, repeats with its seed, and needs two items', () => {
  const random = seededRandom(3);
  const values = Array.from({ length: 400 }, () => random());
  const meanOf = (indices: Int32Array): number => mean(Float64Array.from(indices, (i) => values[i]!))!;
  const interval = bootstrap(values.length, meanOf, 5)!;
  const centre = mean(values)!;
  const half = (1.96 * Math.sqrt(1 / 12)) / Math.sqrt(values.length);
  expect(interval.low).toBeCloseTo(centre - half, 2);
  expect(interval.high).toBeCloseTo(centre + half, 2);
  expect(bootstrap(values.length, meanOf, 5)).toEqual(interval);
  expect(bootstrap(1, meanOf)).toBeNull();
  expect(bootstrap(5, () => null)).toBeNull();
});

test('quantiles interpolate, and nothing has none', () => {
  expect(median([3, 1, 2, 10])).toBe(2.5);
  expect(quantile([0, 10], 0.9)).toBeCloseTo(9);
  expect(median([])).toBeNull();
  expect(mean([])).toBeNull();
});

test('the sign test is exact', () => {
  expect(signTest(0, 0)).toBe(1);
  expect(signTest(6, 0)).toBeCloseTo(2 / 64);
  expect(signTest(1, 7)).toBeCloseTo((2 * (1 + 8)) / 256);
  expect(signTest(400, 100)).toBeLessThan(1e-40);
  fc.assert(
    fc.property(fc.nat({ max: 200 }), fc.nat({ max: 200 }), (a, b) => {
      expect(signTest(a, b)).toBe(signTest(b, a));
      expect(signTest(a, b)).toBeLessThanOrEqual(1);
    }),
  );
});

test('a paired comparison sees a small steady gain that unpaired intervals would hide', () => {
  const small = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 1 : 0));
  const relay = small.map((value, i) => (i % 20 === 1 ? 1 : value));
  const result = comparePaired(small, relay);
  expect(result).toMatchObject({ questions: 200, better: 10, worse: 0 });
  expect(result.difference).toBeCloseTo(0.05);
  expect(result.interval!.low).toBeGreaterThan(0);
  expect(result.pValue).toBeCloseTo(2 / 1024);
});

test('gap closed: none, half, all, and undefined where large is no better', () => {
  const small = [0, 0, 0, 0, 1, 1];
  const large = [1, 1, 1, 1, 1, 1];
  expect(gapClosed(small, large, small)!.value).toBe(0);
  expect(gapClosed(small, large, [1, 1, 0, 0, 1, 1])!.value).toBe(0.5);
  expect(gapClosed(small, large, large)!.value).toBe(1);
  expect(gapClosed(large, small, small)).toBeNull();
});

test('the seed of a run depends on problem and sample, and on nothing else', () => {
  const seeds = new Set<number>();
  for (let p = 0; p < 100; p++) for (let s = 0; s < 10; s++) seeds.add(runSeed(1, `p${p}`, s));
  expect(seeds.size).toBe(1000);
  expect(runSeed(1, 'p1', 2)).toBe(runSeed(1, 'p1', 2));
  expect(runSeed(1, 'p1', 2)).not.toBe(runSeed(2, 'p1', 2));
});
