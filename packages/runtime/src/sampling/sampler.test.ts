// Sampling against its definitions: frequencies over many draws, and the exact sets that filters leave.
import { describe, expect, test } from 'vitest';
import type { Sampling } from '../text-model.ts';
import { logSumExp, topLogprobs, watch } from './log-probs.ts';
import { seededRandom } from './random.ts';
import { Sampler } from './sampler.ts';

const logits = Float32Array.from([0.5, 0.3, 0.15, 0.04, 0.01].map(Math.log));

function frequencies(options: Sampling, from = logits, draws = 20_000): number[] {
  const sampler = new Sampler({ temperature: 1, seed: 7, ...options });
  const counts = Array.from(from, () => 0);
  for (let i = 0; i < draws; i++) counts[sampler.next(from)]!++;
  return counts.map((c) => c / draws);
}

/** Within five standard deviations of a binomial frequency. */
function expectNear(seen: readonly number[], wanted: readonly number[]): void {
  wanted.forEach((p, i) =>
    expect(Math.abs(seen[i]! - p)).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / 20_000) + 1e-12),
  );
}

describe('distributions', () => {
  test('temperature 1 draws from the model', () => expectNear(frequencies({}), [0.5, 0.3, 0.15, 0.04, 0.01]));
  test('temperature 2 flattens by the square root', () => {
    const roots = [0.5, 0.3, 0.15, 0.04, 0.01].map(Math.sqrt);
    const total = roots.reduce((a, b) => a + b);
    expectNear(
      frequencies({ temperature: 2 }),
      roots.map((r) => r / total),
    );
  });
  test('top-k keeps the k likeliest', () => expectNear(frequencies({ topK: 2 }), [0.625, 0.375, 0, 0, 0]));
  test('top-p keeps the shortest set that reaches p', () =>
    expectNear(frequencies({ topP: 0.8 }), [0.625, 0.375, 0, 0, 0]));
  test('top-p includes the token that crosses p', () =>
    expectNear(frequencies({ topP: 0.81 }), [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0, 0]));
  test('min-p keeps what is at least that share of the best', () =>
    expectNear(frequencies({ minP: 0.25 }), [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0, 0]));
  test('a tiny top-p still draws the best', () => expectNear(frequencies({ topP: 1e-9 }), [1, 0, 0, 0, 0]));
});

describe('greedy and adjustments', () => {
  const flat = Float32Array.from([1, 1.1, -1, 0.9]);
  test('greedy takes the largest, the first of equals', () => {
    expect(new Sampler().next(flat)).toBe(1);
    expect(new Sampler({ temperature: 0 }).next(Float32Array.from([2, 2, 1]))).toBe(0);
  });
  test('bias adds, minus infinity bans, and banning all is an error', () => {
    expect(new Sampler({ logitBias: { 3: 1 } }).next(flat)).toBe(3);
    expect(new Sampler({ logitBias: { 1: -Infinity } }).next(flat)).toBe(0);
    const ban = Object.fromEntries(flat.entries().map(([i]) => [i, -Infinity]));
    expect(() => new Sampler({ logitBias: ban }).next(flat)).toThrow(/bans every token/);
  });
  test('repetition penalty looks at the context, the others at what was generated', () => {
    expect(new Sampler({ repetitionPenalty: 2 }, [1]).next(flat)).toBe(0);
    expect(new Sampler({ presencePenalty: 5 }, [1]).next(flat)).toBe(1);
    const presence = new Sampler({ presencePenalty: 0.15 });
    expect([presence.next(flat), presence.next(flat)]).toEqual([1, 0]);
    const frequency = new Sampler({ frequencyPenalty: 0.06 });
    expect([1, 2, 3].map(() => frequency.next(flat))).toEqual([1, 1, 0]);
  });
  test('a negative logit gets smaller under repetition penalty, as in transformers', () => {
    expect(new Sampler({ repetitionPenalty: 2 }, [1]).next(Float32Array.from([-1.5, -1]))).toBe(0);
  });
  test('the caller’s logits are left alone', () => {
    const before = flat.slice();
    new Sampler({ repetitionPenalty: 2, logitBias: { 0: 3 } }, [0, 1]).next(flat);
    expect(flat).toEqual(before);
  });
});

test('the same seed draws the same tokens, another seed others', () => {
  const draw = (seed: number): number[] => {
    const sampler = new Sampler({ temperature: 1.5, seed });
    return Array.from({ length: 50 }, () => sampler.next(logits));
  };
  expect(draw(3)).toEqual(draw(3));
  expect(draw(3)).not.toEqual(draw(4));
  expect(draw(3)).not.toEqual(draw(3 + 2 ** 32));
});

test('the generator fills [0, 1) evenly', () => {
  const random = seededRandom(1);
  const bins = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 20_000; i++) bins[Math.floor(random() * 10)]!++;
  expectNear(
    bins.map((b) => b / 20_000),
    bins.map(() => 0.1),
  );
});

test('log-probabilities do not overflow and sum to one', () => {
  const large = Float32Array.from([1000, 999, 990]);
  expect(Math.exp(logSumExp(large) - 1000)).toBeCloseTo(1 + Math.exp(-1) + Math.exp(-10), 10);
  expect(topLogprobs(large, 3).reduce((sum, t) => sum + Math.exp(t.logprob), 0)).toBeCloseTo(1, 10);
  expect(topLogprobs(large, 2).map((t) => t.id)).toEqual([0, 1]);
  expect(watch(large, [1]).argmax).toBe(0);
  expect(watch(large, [1]).logprobs[0]).toBeCloseTo(999 - logSumExp(large), 10);
});

test.each([
  [{ temperature: -1 }, /temperature/],
  [{ topP: 0 }, /topP/],
  [{ topK: 1.5 }, /topK/],
  [{ minP: 2 }, /minP/],
  [{ repetitionPenalty: 0 }, /repetitionPenalty/],
  [{ presencePenalty: Number.NaN }, /presencePenalty/],
  [{ logitBias: { x: 1 } as never }, /logitBias/],
] as [Sampling, RegExp][])('bad setting %j is named', (options, message) => {
  expect(() => new Sampler(options)).toThrow(message);
});
