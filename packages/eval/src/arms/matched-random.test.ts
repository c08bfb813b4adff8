import { auditTrace, solveToTrace } from '@baton/split';
import type { Trace } from '@baton/split';
import { expect, test } from 'vitest';
import { ngramModel, promptOf } from '../../../split/test/ngram-model.ts';
import { makeTrace } from '../../test/make-trace.ts';
import { matchedProfile, matchedRandom } from './matched-random.ts';

const QUESTION = 'Count to 72.';
const COUNT = Array.from({ length: 72 }, (_, i) => `${i + 1}`).join(' ');
const DOCUMENT = `${promptOf(QUESTION)}${COUNT}</think>\n\\boxed{1}`;
const model = (): ReturnType<typeof ngramModel> => ngramModel({ documents: [DOCUMENT] });
const profile = matchedProfile([
  makeTrace([
    { origin: 'small', tokens: 30 },
    { origin: 'large', tokens: 5 },
    { origin: 'small', tokens: 25 },
  ]),
  makeTrace([
    { origin: 'small', tokens: 25 },
    { origin: 'large', tokens: 15 },
    { origin: 'small', tokens: 20 },
  ]),
]);
const run = (seed: number): Promise<Trace> =>
  solveToTrace(QUESTION, {
    small: model(),
    large: model(),
    policy: matchedRandom(profile, 'learned'),
    sampling: { seed },
    keepWarm: false,
  });

test('the profile is read off the traces: how often, and how long', () => {
  expect(profile).toEqual({ handOffRate: 2 / 100, spanTokens: [5, 15] });
  expect(() => matchedProfile([makeTrace([{ origin: 'small', tokens: 9 }])])).toThrow(/nothing to match/);
  expect(() => matchedProfile([makeTrace([{ origin: 'large', tokens: 9 }])])).toThrow(/nothing to match/);
});

test('runs hand off as often and as long as the profile says, at places of chance, the same for the same seed', async () => {
  const traces: Trace[] = [];
  for (let seed = 0; seed < 40; seed++) traces.push(await run(seed));
  const segments = traces.flatMap((trace) => trace.segments);
  const small = segments.reduce((sum, one) => sum + (one.origin === 'small' ? one.tokens : 0), 0);
  const spans = segments.filter((one) => one.origin === 'large');
  for (const span of spans.filter((one) => one.reason !== 'end')) expect([5, 15]).toContain(span.tokens);
  // 40 runs of about 216 tokens: some 150 spans, so the rate is known to about 8 %; four times that are allowed.
  expect(spans.length / small).toBeGreaterThan(0.02 * 0.68);
  expect(spans.length / small).toBeLessThan(0.02 * 1.32);
  expect(new Set(traces.map((trace) => trace.segments[0]!.tokens)).size).toBeGreaterThan(10);
  for (const trace of traces) {
    expect(auditTrace(trace)).toEqual([]);
    expect(trace).toMatchObject({ policy: 'random:matched to learned', answer: '1', stopReason: 'end' });
  }
  const again = await run(7);
  expect(again.segments.map((one) => one.text)).toEqual(traces[7]!.segments.map((one) => one.text));
});
