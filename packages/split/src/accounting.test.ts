// The books where endpoints make it hard: usage only at the end or never, several tokens in one piece, requests that fail or are
// withdrawn, limits that no timer can hold.

import type { LocalModel } from '@baton/runtime';
import { describe, expect, it } from 'vitest';

import { cleanups, server } from '../test/cleanups.ts';
import { cut, event, silence, status } from '../test/fault-server.ts';
import type { FaultServer, Script } from '../test/fault-server.ts';
import { ngramModel, promptOf } from '../test/ngram-model.ts';
import { ANSWER, QUESTION, SPAN, largeModel, smallModel } from '../test/pair.ts';
import { OpenAICompletionsModel, auditTrace, recordedLarge, solveToTrace, endpointPool } from './index.ts';
import type { PoolMember, SolveOptions, Trace } from './index.ts';

function keep(model: LocalModel): LocalModel {
  cleanups.push(() => model.close());
  return model;
}

const PRICES = { input: 2, cachedInput: 0.5, output: 8 };

async function run(url: string, options: Partial<SolveOptions> = {}): Promise<Trace> {
  const quick = { retries: 0, idleMs: 500, connectMs: 500 };
  const large = options.large ?? new OpenAICompletionsModel({ url, model: 'm', ...quick });
  const small = options.small ?? keep(smallModel());
  const trace = await solveToTrace(QUESTION, { keepWarm: false, prices: PRICES, ...options, small, large });
  expect(auditTrace(trace)).toEqual([]);
  return trace;
}

const usage = (prompt: number, completion: number, cached?: number): string =>
  `data: ${JSON.stringify({
    choices: [],
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      ...(cached === undefined ? {} : { prompt_tokens_details: { cached_tokens: cached } }),
    },
  })}\n\n`;

/** Events, and then the end with whatever usage. */
const answers =
  (pieces: readonly string[], ...more: string[]): Script =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) response.write(event(piece));
    response.end(`${event('', 'stop')}${more.join('')}data: [DONE]\n\n`);
  };

const spanOf = (trace: Trace): Trace['segments'][number] => trace.segments.find((s) => s.origin === 'large')!;
/** Reads whole streams before it decides. */
const slow = (): LocalModel => keep(smallModel({ latency: { pass: 8, token: 0 } }));

describe('tokens', () => {
  it('that come several in a piece are all somebody’s, as the usage counts them', async () => {
    const { url } = await server(answers([SPAN, '\nThen, the'], usage(40, 26, 10)));
    const trace = await run(url, { small: slow() });
    expect(trace.text).toBe(ANSWER);
    const span = spanOf(trace);
    expect(span.tokens + span.discardedTokens).toBe(26);
    // In proportion to the text: 30 characters of 40 are kept.
    expect(span.tokens).toBeGreaterThan(15);
    expect(span.discardedTokens).toBeGreaterThan(3);
    expect(span.cost).toBeCloseTo((30 * 2 + 10 * 0.5 + 26 * 8) / 1e6, 15);
    expect(trace.totals.largeTokens).toBe(span.tokens);
    // The record counts the same when it is played back.
    const again = await solveToTrace(QUESTION, { small: slow(), large: recordedLarge(trace) });
    expect(spanOf(again)).toMatchObject({ tokens: span.tokens, discardedTokens: span.discardedTokens });
  });

  it('of a server that ignores streaming are counted from its one answer', async () => {
    const { url } = await server((response) => {
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          choices: [{ text: SPAN, finish_reason: 'length' }],
          usage: { prompt_tokens: 40, completion_tokens: 21 },
        }),
      );
    });
    const trace = await run(url);
    expect(spanOf(trace)).toMatchObject({ text: SPAN, tokens: 21, discardedTokens: 0 });
  });
});

describe('an endpoint that breaks off in the middle of a span', () => {
  it('is paid for as well, for what it read and wrote', async () => {
    const breaks: Script = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const piece of ['1200', '+240+']) response.write(event(piece));
      cut(response);
    };
    const first = await server(breaks);
    const second = await server(answers(['210+42=1440+252', '=1692.'], usage(42, 12)));
    const member = ({ url }: FaultServer): { model: OpenAICompletionsModel } => ({
      model: new OpenAICompletionsModel({ url, model: 'm', retries: 0 }),
    });
    const large = endpointPool([member(first), member(second)]);
    const small = slow();
    const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false, prices: PRICES });
    expect(auditTrace(trace)).toEqual([]);
    expect(trace.text).toBe(ANSWER);
    const span = spanOf(trace);
    // The second read 42 tokens, the first the same without the two that it wrote itself.
    expect(span.promptTokens).toBe(42 + 40);
    expect(span.tokens + span.discardedTokens).toBe(12 + 2);
    expect(span.cost).toBeCloseTo(((42 + 40) * 2 + 14 * 8) / 1e6, 15);
  });
});

describe('prices', () => {
  it('are estimated, and the trace says so, where a server never tells its usage', async () => {
    const { url } = await server(answers([SPAN]));
    const trace = await run(url);
    expect(spanOf(trace).cost).toBeGreaterThan(0);
    expect(trace.notes.join('\n')).toMatch(/some prices are estimated/);
  });

  it.each<[string, Script]>([
    ['refuses', status(401)],
    ['fails', status(500)],
    ['is silent', silence],
  ])('are nothing where the endpoint %s', async (_, script) => {
    const { url } = await server(script);
    const trace = await run(url);
    expect(trace.totals.cost).toBe(0);
    expect(trace.notes.join('\n')).not.toMatch(/estimated/);
  });

  it.each<[string, PoolMember['concurrency']]>([
    ['were withdrawn for the hand-off', 1],
    ['had no answer when the run ended', undefined],
  ])('of keep-warm requests that %s are counted', async (_, concurrency) => {
    const { url } = await server((response, body) => {
      if (body.max_tokens === 1) return;
      answers([SPAN], usage(40, 20))(response, body, undefined as never);
    });
    const model = new OpenAICompletionsModel({ url, model: 'm', retries: 0 });
    const large = endpointPool([concurrency === undefined ? { model } : { model, concurrency }]);
    const trace = await run(url, { keepWarm: true, small: slow(), large });
    expect(trace.text).toBe(ANSWER);
    expect(trace.totals.warmUp!.requests).toBeGreaterThan(0);
    expect(trace.totals.otherCost).toBeGreaterThan(0);
    expect(trace.totals.cost).toBeCloseTo(trace.totals.otherCost! + spanOf(trace).cost!, 15);
    expect(trace.notes.join('\n')).toMatch(/some prices are estimated/);
  });

  it('of judgements are counted, usage or not', async () => {
    for (const more of [[usage(50, 1)], []]) {
      const { url } = await server(answers(['9'], ...more));
      const trace = await run(url, { policy: 'spec-reason:5', budget: { maxTokens: 60 } });
      const asked = trace.totals.overhead!.requests;
      expect(asked).toBeGreaterThan(0);
      if (more.length > 0) expect(trace.totals.cost).toBeCloseTo((asked * (50 * 2 + 8)) / 1e6, 12);
      else expect(trace.totals.cost).toBeGreaterThan(0);
    }
  });
});

it('hidden thoughts in the usage do not lift a span over what it was granted', async () => {
  const { url } = await server(answers([SPAN], usage(40, 500)));
  const trace = await run(url, { small: slow(), budget: { maxOffload: 0.6 } });
  expect(trace.totals.offloadRatio).toBeLessThanOrEqual(0.6);
  const span = spanOf(trace);
  expect(span.tokens + span.discardedTokens).toBe(500);
  expect(span.cost).toBeCloseTo((40 * 2 + 500 * 8) / 1e6, 15);
});

describe('deadlines', () => {
  it.each([Infinity, 1e12])('of %d milliseconds never come', async (forever) => {
    const { url } = await server(answers([SPAN]));
    const trace = await run(url, { budget: { maxMs: forever }, spanMs: forever });
    expect(trace.text).toBe(ANSWER);
    const endpoint = { url, model: 'm', connectMs: forever, idleMs: forever };
    const large = new OpenAICompletionsModel(endpoint);
    expect((await solveToTrace(QUESTION, { small: keep(smallModel()), large })).text).toBe(ANSWER);
  });

  it('hold for a judgement that only pretends to come', async () => {
    const { url } = await server((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => response.write(': still here\n\n'), 20);
      response.once('close', () => clearInterval(timer));
    });
    const trace = await run(url, { policy: 'spec-reason:5', spanMs: 300 });
    expect(trace.stopReason).toBe('end');
    expect(trace.answer).not.toBeNull();
    expect(trace.notes.join('\n')).toMatch(/took longer than 300 ms.*carries on alone/);
  });

  it('hold for a small model that does not render the question', async () => {
    const small = Object.assign(keep(smallModel()), {
      renderChat: () => new Promise<string>(() => undefined),
    });
    const trace = await solveToTrace(QUESTION, { small, policy: 'small', budget: { maxMs: 200 } });
    expect(trace).toMatchObject({ stopReason: 'budget', text: '', segments: [] });
    const control = new AbortController();
    setTimeout(() => control.abort(), 50);
    const stopped = await solveToTrace(QUESTION, { small, policy: 'small', signal: control.signal });
    expect(stopped.stopReason).toBe('aborted');
  });

  it('a small model whose rendering fails leaves a trace that says why', async () => {
    const small = Object.assign(keep(smallModel()), {
      renderChat: () => Promise.reject(new Error('the template is broken')),
    });
    const trace = await solveToTrace(QUESTION, { small, large: keep(largeModel()) });
    expect(trace.stopReason).toBe('error');
    expect(trace.notes.join('\n')).toMatch(/the template is broken/);
  });
});

describe('a trace whose large model wrote the close tag', () => {
  it('is played back to the same trace', async () => {
    const small = keep(smallModel());
    const { url } = await server(answers(['12', '+', '</bigmodel>', 'lost']));
    const options = { small, policy: 'random:0.5:6', budget: { maxTokens: 40 }, sampling: { seed: 2 } };
    const trace = await run(url, options);
    const again = await solveToTrace(QUESTION, { ...options, large: recordedLarge(trace) });
    const essence = ({ segments }: Trace): unknown => segments.map((s) => [s.origin, s.text, s.reason]);
    expect(trace.totals.offloadSpans).toBeGreaterThan(1);
    expect(essence(again)).toEqual(essence(trace));
  });
});

describe('the last token of a budget', () => {
  it('may be the end of a tag that is taken out: the segment in front of it is in the trace', async () => {
    // Two characters and a tag of ten, each of them a token.
    const documents = [`${promptOf(QUESTION)}ab<bigmodel>cd`];
    const small = keep(ngramModel({ documents, specialTags: false }));
    const { url } = await server(answers(['x']));
    for (const policy of ['random:0:4', 'small', 'call', 'cues', 'learned']) {
      const trace = await run(url, { small, policy, budget: { maxTokens: 12 }, earlyRequest: false });
      expect([policy, trace.text]).toEqual([policy, 'ab']);
      expect(trace.segments.map((s) => s.text).join('')).toBe('ab');
    }
  });

  it('holds where a rewrite is paid for, says nothing, and the step stands', async () => {
    const small = keep(
      ngramModel({ documents: [`${promptOf(QUESTION)}A step of more than twenty tokens.`] }),
    );
    const { url } = await server((response, body, request) =>
      answers([String(body.prompt).endsWith('Rating: ') ? '0' : '<bigmodel>'])(response, body, request),
    );
    const trace = await run(url, { small, policy: 'spec-reason:5', budget: { maxTokens: 20 } });
    const { smallTokens, largeTokens, overhead } = trace.totals;
    expect(smallTokens + largeTokens).toBe(20);
    // The one token of the step that found no room, and no other twice.
    expect(smallTokens + overhead!.smallTokens).toBe(20);
  });
});

describe('keep-warm requests', () => {
  it.each([{ maxCost: 0 }, { maxCost: 1e-5 }, { maxOffload: 0 }, { maxSpans: 0 }, { maxLargeTokens: 0 }])(
    'are not sent where %j lets no hand-off follow',
    async (budget) => {
      const { url, bodies } = await server(answers(['x'], usage(11, 1)));
      const trace = await run(url, { budget, keepWarm: true });
      expect(bodies).toEqual([]);
      expect(trace.totals.cost).toBe(0);
    },
  );

  it('leave the money for the hand-off that they are for', async () => {
    const { url } = await server(answers(['x'], usage(100, 1)));
    const lines = Array.from(
      { length: 20 },
      (_, i) => `${i ** 5} is line ${i} of a text that goes on alone.\n`,
    );
    const small = keep(
      ngramModel({ documents: [promptOf(QUESTION) + lines.join('')], latency: { pass: 1, token: 0 } }),
    );
    const budget = { maxCost: 0.001 };
    const trace = await run(url, { small, budget, keepWarm: true });
    expect(trace.totals.warmUp?.requests).toBeGreaterThan(0);
    expect(trace.totals.cost).toBeLessThanOrEqual(budget.maxCost);
  });
});

describe('a span limit that nobody set', () => {
  it('does not end what is made of many short spans', async () => {
    const options = { small: keep(smallModel()), large: keep(largeModel()) };
    const ones = await solveToTrace(QUESTION, { ...options, policy: 'random:1:1' });
    expect(ones.text).toBe(ANSWER);
    expect(ones.totals.offloadSpans).toBeGreaterThan(64);
    // A small model that is wrong everywhere: each token is a correction.
    const wrong = keep(smallModel({ documents: ['<|assistant|>\n<think>\n?'.repeat(3)] }));
    const exact = await solveToTrace(QUESTION, { ...options, small: wrong, policy: 'speculative:2' });
    expect(exact.text).toBe(ANSWER);
    expect(exact.totals.offloadSpans).toBeGreaterThan(64);
    expect(auditTrace(exact)).toEqual([]);
  });
});

describe('a whole number', () => {
  it.each(['maxTokens', 'maxLargeTokens', 'maxSpans', 'maxSpanTokens', 'expectedTokens'])(
    'is what %s must be',
    async (name) => {
      const small = keep(smallModel());
      await expect(
        solveToTrace(QUESTION, { small, policy: 'small', budget: { [name]: 2.5 } }),
      ).rejects.toThrow(`budget.${name} is 2.5; it counts, so it must be whole`);
    },
  );
});
