// A small model that is too small for the question, or is full in the middle of a thought: the large model goes on, every policy that
// may ask it included, and the books stay right.

import type { LocalModel } from '@baton/runtime';
import { afterEach, describe, expect, it } from 'vitest';

import { promptOf } from '../../test/ngram-model.ts';
import { ANSWER, QUESTION, largeModel, smallModel } from '../../test/pair.ts';
import { server } from '../../test/cleanups.ts';
import { event, status, stream } from '../../test/fault-server.ts';
import { OpenAICompletionsModel, auditTrace, perplexityGate, recordedLarge, solveToTrace } from '../index.ts';
import type { SolveOptions, Trace } from '../index.ts';

const open: LocalModel[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
});
const keep = (model: LocalModel): LocalModel => (open.push(model), model);

/** Tokens of the prompt in the pair's byte tokenizer. */
const PROMPT_TOKENS = await (async () => {
  const model = smallModel();
  const session = await model.openSession();
  const { ingested } = await session.sync(promptOf(QUESTION));
  await model.close();
  return ingested;
})();

async function run(capacity: number, options: Partial<SolveOptions> = {}): Promise<Trace> {
  const trace = await solveToTrace(QUESTION, {
    small: keep(smallModel({ capacity })),
    large: keep(largeModel()),
    keepWarm: false,
    prices: { input: 3, output: 15 },
    ...options,
  });
  expect(auditTrace(trace)).toEqual([]);
  expect(trace.segments.map((s) => s.text).join('')).toBe(trace.text);
  expect(trace.text).not.toMatch(/<\/?bigmodel>/);
  return trace;
}

/** One of the places where the small model has no room: the question, its own thought, the large model's span, its thought after it. */
const CAPACITIES = [
  ['the question', PROMPT_TOKENS - 20],
  ['one token behind it', PROMPT_TOKENS + 1],
  ['half of its first thought', PROMPT_TOKENS + 12],
  ['half of the span', PROMPT_TOKENS + 40],
  ['half of the rest', PROMPT_TOKENS + 80],
] as const;

describe.each(CAPACITIES)('a small model with room for %s', (_, capacity) => {
  it.each([
    'learned',
    'threshold:0.5',
    'entropy:0.4',
    'cues',
    'call',
    'spec-reason:5',
    'step-score:-0.5',
    'speculative:4',
    'rewrite:2',
  ])('%s is finished by the large model', async (policy) => {
    const trace = await run(capacity, { policy });
    expect(trace.stopReason).toBe('end');
    expect(trace.segments.at(-1)).toMatchObject({ origin: 'large', reason: 'end' });
    expect(trace.notes.join('\n')).toMatch(
      /small model's context is full(; the large model goes on alone|: it does not read on)/,
    );
    expect(trace.answer).not.toBeNull();
  });

  it('replays to the same trace, and repeats with the recorded large model', async () => {
    const trace = await run(capacity);
    expect(trace.text).toBe(ANSWER);
    const small = keep(smallModel({ capacity }));
    const again = await solveToTrace(QUESTION, { small, large: recordedLarge(trace) });
    expect(again.segments.map((s) => [s.origin, s.text, s.tokens, s.reason])).toEqual(
      trace.segments.map((s) => [s.origin, s.text, s.tokens, s.reason]),
    );
  });

  it('small alone stays small, and random keeps its share', async () => {
    for (const policy of ['small', 'random:0']) {
      const trace = await run(capacity, { policy });
      expect(trace.stopReason).toBe('context');
      expect(trace.totals.largeTokens).toBe(0);
    }
  });
});

describe('what the large model may not do', () => {
  const capacity = PROMPT_TOKENS + 12;

  it.each<[string, SolveOptions['budget'], RegExp]>([
    ['its share', { maxOffload: 0 }, /may not take over: offload budget 0/],
    ['no spans', { maxSpans: 0 }, /may not take over: budget reached: 0 of 0 spans/],
    ['no money', { maxCost: 1e-9 }, /may not take over: budget reached/],
  ])('a budget of %s is kept, and the trace says so', async (_, budget, why) => {
    const trace = await run(capacity, { budget: budget! });
    expect(trace.stopReason).toBe('context');
    expect(trace.totals.largeTokens).toBe(0);
    expect(trace.notes.join('\n')).toMatch(why);
  });

  it('tokens per span, large tokens and the answer’s tokens are limits as ever', async () => {
    const short = await run(capacity, { budget: { maxSpanTokens: 10 } });
    expect(short.text).toBe(ANSWER);
    const large = short.segments.filter((s) => s.origin === 'large');
    expect(large.length).toBeGreaterThan(3);
    for (const { tokens } of large) expect(tokens).toBeLessThanOrEqual(10);
    const few = await run(capacity, { budget: { maxLargeTokens: 15 } });
    expect(few.stopReason).toBe('context');
    expect(few.totals.largeTokens).toBe(15);
    expect(few.notes.join('\n')).toMatch(/may write no more: budget reached: 15 of 15 large-model tokens/);
    const tokens = await run(capacity, { budget: { maxTokens: 20 } });
    expect(tokens.stopReason).toBe('length');
    expect(tokens.totals.smallTokens + tokens.totals.largeTokens).toBe(20);
  });

  it('an endpoint that fails ends the run as full as it was, with both reasons', async () => {
    const { url } = await server(status(500));
    const large = new OpenAICompletionsModel({ url, model: 'down', retries: 0 });
    const trace = await run(PROMPT_TOKENS - 20, { large });
    expect(trace.stopReason).toBe('context');
    expect(trace.segments.at(-1)).toMatchObject({ origin: 'large', reason: 'endpoint-error' });
    expect(trace.notes.join('\n')).toMatch(/server failed \(HTTP 500\).*nobody is left to go on/);
  });

  it('an endpoint that has no room either is asked once', async () => {
    const { url, bodies } = await server(
      stream([], (response) => response.end(`${event('', 'length')}data: [DONE]\n\n`)),
    );
    const large = new OpenAICompletionsModel({ url, model: 'full', retries: 0 });
    const trace = await run(PROMPT_TOKENS - 20, { large });
    expect(trace.stopReason).toBe('length');
    expect(bodies).toHaveLength(1);
  });
});

it('subselect does not take a candidate that ran out of room for a finished one', async () => {
  // The pair knows no other text than its own, so what the large model makes of a candidate is cut off early.
  const budget = { maxTokens: 120 };
  const trace = await run(PROMPT_TOKENS + 40, { policy: 'subselect:3', budget });
  expect(trace.notes.join('\n')).toContain('the large model goes on alone');
  expect(trace.segments.map((s) => s.reason)).toContain('context');
});

it('the gate finds a question that is too long not easy', async () => {
  const trace = await run(PROMPT_TOKENS - 20, { gate: perplexityGate(-100) });
  expect(trace.stopReason).toBe('end');
  expect(trace.answer).toBe('1600');
  expect((await run(PROMPT_TOKENS - 20, { policy: 'gated:-100:learned' })).answer).toBe('1600');
});

it('goes on over HTTP, in the endpoint’s own words', async () => {
  const { url } = await server(stream(['It is \\boxed', '{1600}.']));
  const large = new OpenAICompletionsModel({ url, model: 'remote', retries: 0 });
  const trace = await run(PROMPT_TOKENS - 20, { large });
  expect(trace.answer).toBe('1600');
  expect(trace.segments.map((s) => [s.origin, s.reason])).toEqual([
    ['small', 'context'],
    ['large', 'end'],
  ]);
});
