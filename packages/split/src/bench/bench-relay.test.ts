import { afterEach, describe, expect, it } from 'vitest';

import { ANSWER, QUESTION, largeModel, smallModel } from '../../test/pair.ts';
import { OpenAICompletionsModel } from '../endpoint/openai-completions.ts';
import { solveToTrace } from '../solve.ts';
import type { Trace } from '../trace.ts';
import { benchRelay } from './bench-relay.ts';
import { serveModel } from './model-endpoint.ts';
import { paperSerial } from './paper-serial.ts';
import { idealOf, summarise } from './protocols.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.allSettled(cleanups.splice(0).map((clean) => clean()));
});

function pair(): { small: ReturnType<typeof smallModel>; large: ReturnType<typeof largeModel> } {
  const small = smallModel();
  const large = largeModel();
  cleanups.push(
    () => small.close(),
    () => large.close(),
  );
  return { small, large };
}

describe('the paper’s serial protocol', () => {
  it('comes to the same text at the price of probe tokens', async () => {
    const { small, large } = pair();
    const endpoint = await serveModel(large);
    cleanups.push(() => endpoint.close());
    const remote = new OpenAICompletionsModel({ url: endpoint.url });
    const trace = await solveToTrace(QUESTION, {
      small,
      large: remote,
      policy: paperSerial(),
      keepWarm: false,
    });
    expect(trace.text).toBe(ANSWER);
    expect(trace.totals.probeTokens).toBeGreaterThan(20);
  });
});

describe('benchRelay', () => {
  it('measures every part, and finds one-pass decisions equal to exhaustive probing', async () => {
    const { small, large } = pair();
    const bench = await benchRelay({
      small,
      large,
      questions: [QUESTION],
      latenciesMs: [10],
      contextTokens: 100,
    });
    const { latencyMs, figures } = bench.protocols![0]!;
    expect(latencyMs).toBe(10);
    expect(figures.map((p) => p.protocol)).toEqual(['paper-serial', 'serial', 'keep-warm', 'pipelined']);
    const [paper, serial, keepWarm, pipelined] = figures;
    expect(paper!.probeTokens).toBeGreaterThan(0);
    for (const ours of [serial!, keepWarm!, pipelined!]) {
      expect(ours.probeTokens).toBe(0);
      expect(ours.spans).toBe(1);
      expect(ours.handOffMs).toBeGreaterThanOrEqual(10);
      expect(ours.overInstant).toBeGreaterThan(1);
      expect(ours.overInstant).toBeGreaterThanOrEqual(ours.overIdeal);
    }
    expect(serial!.warmUpRequests).toBe(0);
    expect(keepWarm!.warmUpRequests).toBeGreaterThan(0);
    expect(pipelined!.warmUpRequests).toBeGreaterThan(0);
    expect(bench.handBackAgreement).toEqual({ questions: 1, spans: 1, equal: 1, share: 1, probeTokens: 0 });
    const [context] = bench.contextHandOff!;
    expect(context!.cachedPipelined).toBeGreaterThan(context!.cachedSerial!);
    expect(bench.earlyHandOff).toHaveLength(1);
  });

  it('lets no protocol find in the server’s cache what another has just had read', async () => {
    const { small, large } = pair();
    const endpoint = await serveModel(large);
    cleanups.push(() => endpoint.close());
    const questions = ['One: ', 'Two: ', 'Three: ', 'Four: '].map((label) => label + QUESTION);
    const bench = await benchRelay({
      small,
      large,
      endpoint,
      questions,
      parts: ['protocols'],
      latenciesMs: [1],
      rounds: 2,
    });
    expect(bench.protocols![0]!.rounds).toBe(2);
    const asked: number[] = [];
    for (const { prompt } of endpoint.requests) {
      // How fast it reads was measured in between.
      if (/^\d (?:short|long) /.test(prompt)) continue;
      const question = questions.findIndex((q) => prompt.includes(q));
      if (question !== asked.at(-1)) asked.push(question);
    }
    // Behind the unmeasured runs, which take the questions one after another: each protocol at another one.
    const turns = [0, 1, 2, 3, 1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2];
    expect(asked).toEqual([0, 1, 2, ...turns, ...turns]);
    for (const { spans, questions: answered } of bench.protocols![0]!.figures)
      expect([spans, answered]).toEqual([8, 8]);
  });

  it('measures only what is asked for', async () => {
    const { small, large } = pair();
    const bench = await benchRelay({ small, large, questions: [QUESTION], parts: ['agreement'] });
    expect(bench.protocols).toBeUndefined();
    expect(bench.handBackAgreement!.share).toBe(1);
  });
});

/** Three segments of 11 tokens; the span's last comes at 360, the decision at 367, the small model's next at 390. */
function threeSegments(): Trace {
  const segment = (
    origin: 'small' | 'large',
    startMs: number,
    firstTokenMs: number,
    endMs: number,
  ): object => ({
    origin,
    startMs,
    firstTokenMs,
    lastTokenMs: endMs,
    endMs: endMs + 7,
    tokens: 11,
    text: 'x'.repeat(40),
  });
  return {
    prompt: 'y'.repeat(60),
    segments: [segment('small', 0, 5, 105), segment('large', 110, 160, 360), segment('small', 380, 390, 490)],
    totals: { elapsedMs: 500, largeTokens: 11, smallTokens: 22, discardedTokens: 0 },
  } as unknown as Trace;
}

describe('the figures of a protocol', () => {
  it('count the decision from the last kept token, and the step there from the decision', () => {
    expect(summarise('pipelined', [threeSegments()], 40, 0)).toMatchObject({
      handOffMs: 50,
      decisionMs: 7,
      stepThereMs: 23,
      handBackMs: 30,
      smallTokenMs: 10,
    });
  });
});

describe('the ideal', () => {
  it('is the first token, every kept token at its segment’s pace, and a round trip per span', () => {
    // 5 + 100, then 200 + 20 + the round trip, then 100 + 10.
    expect(idealOf(threeSegments(), 40, 0)).toBe(105 + 260 + 110);
  });

  it.each([
    ['hides reading that takes no longer than the writing', 1, 0],
    ['waits for what is left of reading that does', 1.5, 40],
  ])('%s', (_, readMs, waited) => {
    // 100 characters of prompt and text, 110 ms before the span begins.
    expect(idealOf(threeSegments(), 40, readMs) - idealOf(threeSegments(), 40, 0)).toBe(waited);
  });

  it('reads for the next span only what is new', () => {
    const trace = threeSegments();
    const again = { ...trace.segments[1]!, startMs: 495, firstTokenMs: 540, lastTokenMs: 740 };
    const longer = { ...trace, segments: [...trace.segments, again] } as Trace;
    // 40 characters, 135 ms behind the end of the span before.
    const waited = idealOf(longer, 40, 4) - idealOf(longer, 40, 0);
    expect(waited).toBe(100 * 4 - 110 + (40 * 4 - 135));
  });
});
