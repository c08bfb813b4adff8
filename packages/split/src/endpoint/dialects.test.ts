// Every known kind of server, as a real server that speaks as it does: the preset continues a thought there, the probe finds
// the same without being told, and the usage and the cached tokens arrive in the trace.

import { afterEach, describe, expect, it } from 'vitest';

import { DIALECTS, REPORTED, dialectServer } from '../../test/dialect-servers.ts';
import type { Dialect } from '../../test/dialect-servers.ts';
import { cut, faultServer, finish, json, stream } from '../../test/fault-server.ts';
import { ANSWER, QUESTION, SPAN, smallModel } from '../../test/pair.ts';
import { solveToTrace } from '../solve.ts';
import type { SolveEvent } from '../events.ts';
import type { Trace } from '../trace.ts';
import {
  ChatContinuationModel,
  connect,
  connectOnDemand,
  endpointPool,
  presetByName,
  probeEndpoint,
} from './index.ts';
import type { ConnectOptions } from './index.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.allSettled(cleanups.splice(0).map((clean) => clean()));
});

type Served = Awaited<ReturnType<typeof dialectServer>>;

async function serve(dialect: Dialect): Promise<Served> {
  const server = await dialectServer(dialect);
  cleanups.push(() => server.close());
  return server;
}

async function relay(options: ConnectOptions): Promise<Trace> {
  // The small model is slow enough that the stream is read to its end: then its usage is known.
  const small = smallModel({ latency: { pass: 6, token: 0 } });
  cleanups.push(() => small.close());
  const large = await connect(options);
  return solveToTrace(QUESTION, {
    small,
    large,
    keepWarm: false,
    sampling: { seed: 4, topP: 0.9 },
    prices: { input: 1, cachedInput: 0.1, output: 2 },
  });
}

const sent = (events: readonly SolveEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'request' ? [event.prompt] : []));

/** A small model, and a pool of two endpoints that are asked once each: vLLM's at the first address, llama.cpp's behind it. */
async function pairOf(first: string, second: string) {
  const small = smallModel();
  cleanups.push(() => small.close());
  const large = endpointPool([
    { model: await connect({ url: first, preset: 'vllm', model: 'm', retries: 0 }) },
    { model: await connect({ url: second, preset: 'llama.cpp', model: 'm', retries: 0 }) },
  ]);
  return { small, large };
}

describe('a server that tells its chat template', () => {
  it.each(
    DIALECTS.filter(({ name }) => ['vllm', 'llama.cpp', 'sglang'].includes(name)).map(
      (d) => [d.name, d] as const,
    ),
  )('%s: the large model reads the question in it, and the events say so', async (name, dialect) => {
    for (const preset of [name, undefined]) {
      const { url, bodies } = await serve(dialect);
      const small = smallModel();
      cleanups.push(() => small.close());
      const large = connectOnDemand({ url, model: 'm', ...(preset === undefined ? {} : { preset }) });
      const events: SolveEvent[] = [];
      const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false }, (e) => events.push(e));
      expect(trace.text).toBe(ANSWER);
      const prompts = bodies.filter(({ prompt }) => String(prompt).includes(QUESTION)).map((b) => b.prompt);
      expect(prompts).toHaveLength(1);
      expect(prompts[0]).toMatch(
        /^(?:<s>)?<\|im_start\|>user\n[^]*assistant\n<think>\nFirst, all the pens: 47\*36=$/,
      );
      expect(sent(events)).toEqual(prompts);
      // What the trace calls its prompt is the small model's.
      expect(trace.prompt).toMatch(/^<\|user\|>/);
    }
  });

  const by = (name: string): Dialect => DIALECTS.find((dialect) => dialect.name === name)!;

  it('with the begin-of-text token that the server adds as well: it is sent without', async () => {
    const begun: Dialect = {
      ...by('llama.cpp'),
      answer(path, body, response, request) {
        if (path !== '/apply-template') return by('llama.cpp').answer(path, body, response, request);
        const [message] = body.messages as { content: string }[];
        json(response, 200, {
          prompt: `<s><|im_start|>user\n${message!.content}<|im_end|>\n<|im_start|>assistant\n`,
        });
      },
    };
    // The dialect goes on with nothing that begins twice.
    for (const dialect of [begun, by('sglang')]) {
      const { url, bodies } = await serve(dialect);
      const trace = await relay({ url, preset: dialect.name, model: 'm' });
      expect(trace.text).toBe(ANSWER);
      const raw = bodies.filter((body) => body.max_tokens !== undefined);
      expect(raw).toHaveLength(1);
      expect(String(raw[0]!.prompt)).toMatch(/^<\|im_start\|>user\n/);
      expect(String(raw[0]!.prompt)).not.toContain('<s>');
    }
  });

  it('that adds no token of its own gets the template whole', async () => {
    const dialect: Dialect = {
      ...by('llama.cpp'),
      answer(path, body, response, request) {
        if (path === '/tokenize') return json(response, 200, { tokens: [] });
        if (path === '/apply-template') return json(response, 200, { prompt: `<s>${asked(body)}` });
        stream([SPAN])(response, body, request);
      },
    };
    const asked = (body: Record<string, unknown>): string =>
      (body.messages as { content: string }[])[0]!.content;
    const { url, bodies } = await serve(dialect);
    await relay({ url, preset: 'llama.cpp', model: 'm' });
    expect(bodies.at(-1)!.prompt).toMatch(/^<s>Mia has 47 boxes/);
  });

  it('an SGLang without it: the small model’s form, begun once', async () => {
    const { url, bodies } = await serve({
      ...by('sglang'),
      answer(path, body, response, request) {
        if (path === '/tokenize' && body.messages !== undefined)
          return json(response, 422, { detail: [{ loc: ['body', 'prompt'], msg: 'Field required' }] });
        if (path !== '/completions') return by('sglang').answer(path, body, response, request);
        stream([SPAN])(response, body, request);
      },
    });
    const small = smallModel();
    cleanups.push(() => small.close());
    const large = await connect({ url, preset: 'sglang', model: 'm' });
    // A small model of the same family, whose form begins with the same token.
    const renderLarge = (question: string): string => `<s>[Q] ${question} [A]`;
    const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false, renderLarge });
    expect(trace.text).toBe(ANSWER);
    expect(bodies.at(-1)!.prompt).toBe(`[Q] ${QUESTION} [A]First, all the pens: 47*36=`);
  });

  it('a pool: each endpoint reads its own form, and the events say which went where', async () => {
    const vllm = by('vllm');
    let cuts = 0;
    const first = await serve({
      ...vllm,
      answer(path, body, response, request) {
        if (path !== '/completions') return vllm.answer(path, body, response, request);
        cuts++;
        stream([SPAN.slice(0, 9)], cut)(response, body, request);
      },
    });
    const second = await serve(by('llama.cpp'));
    const { small, large } = await pairOf(first.url, second.url);
    const events: SolveEvent[] = [];
    const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false }, (e) => events.push(e));
    expect(trace.text).toBe(ANSWER);
    expect(cuts).toBe(1);
    const raw = [first, second].flatMap(({ url, bodies }) =>
      bodies.flatMap((body) => (body.max_tokens === undefined ? [] : [[url, body.prompt]])),
    );
    expect(raw).toHaveLength(2);
    expect(events.flatMap((e) => (e.type === 'request' ? [[e.to, e.prompt]] : []))).toEqual(raw);
    expect(raw[0]![1]).toMatch(/^<s><\|im_start\|>/);
    // What the first one wrote before it broke off is part of what the second one goes on from.
    expect(raw[1]![1]).toMatch(/^<\|im_start\|>[^]*47\*36=1200\+240\+$/);
  });

  it('a pool that scores: the text is in the form of the endpoint that scores it', async () => {
    const scoring = (name: string, works: boolean): Dialect => ({
      ...by(name),
      answer(path, body, response, request) {
        if (path !== '/completions') return by(name).answer(path, body, response, request);
        if (!works) return json(response, 500, { error: { message: 'down' } });
        if (body.echo !== true) return stream(['x'])(response, body, request);
        const tokens = String(body.prompt).match(/[^]{1,5}/g)!;
        const logprobs = { tokens: [...tokens, 'x'], token_logprobs: [...tokens.map(() => -0.1), -1] };
        json(response, 200, { choices: [{ text: 'x', finish_reason: 'length', logprobs }] });
      },
    });
    const first = await serve(scoring('vllm', false));
    const second = await serve(scoring('llama.cpp', true));
    const { small, large } = await pairOf(first.url, second.url);
    const events: SolveEvent[] = [];
    const options = { small, large, policy: 'step-score:-0.5', keepWarm: false };
    await solveToTrace(QUESTION, options, (e) => events.push(e));
    const told = events.flatMap((e) => (e.type === 'request' ? [`${e.to} ${e.prompt}`] : []));
    const raw = [first, second].flatMap(({ url, bodies }) =>
      bodies.flatMap((body) => (body.echo === true ? [`${url} ${String(body.prompt)}`] : [])),
    );
    expect(told.length).toBeGreaterThan(2);
    expect(told.toSorted()).toEqual(raw.toSorted());
    expect(told.filter((line) => line.startsWith(first.url)).length).toBeGreaterThan(0);
  });

  it('and then no longer: the small model’s form is used', async () => {
    const { url, bodies } = await serve({
      ...DIALECTS.find(({ name }) => name === 'vllm')!,
      answer(path, body, response) {
        if (path !== '/completions') return json(response, 404, { detail: 'Not Found' });
        stream([SPAN])(response, body, undefined as never);
      },
    });
    const trace = await relay({ url, preset: 'vllm', model: 'm' });
    expect(trace.text).toBe(ANSWER);
    expect(bodies.at(-1)!.prompt).toBe(`${trace.prompt}First, all the pens: 47*36=`);
  });
});

describe('thoughts that a server keeps apart', () => {
  it.each<[string, object[]]>([
    ['reasoning_content', [{ reasoning_content: SPAN }, { content: 'The answer is \\boxed{7}.' }]],
    ['reasoning', [{ reasoning: SPAN, content: '' }, { content: 'The answer is \\boxed{7}.' }]],
    [
      'parts of a message',
      [
        { content: [{ type: 'thinking', thinking: [{ type: 'text', text: SPAN }] }] },
        { content: [{ type: 'text', text: 'The answer is \\boxed{7}.' }] },
      ],
    ],
  ])('in %s end where the answer begins', async (_, deltas) => {
    const server = await faultServer((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const delta of deltas) response.write(`data: ${JSON.stringify({ choices: [{ delta }] })}\n\n`);
      finish(response);
    });
    cleanups.push(() => server.close());
    const large = new ChatContinuationModel({ url: server.url, model: 'm' }, 'trailing');
    const trace = await solveToTrace(QUESTION, { small: null, large, policy: 'large' });
    expect(trace.text).toBe(`${SPAN}\n</think>\n\nThe answer is \\boxed{7}.`);
    expect(trace.answer).toBe('7');
  });
});

const named = DIALECTS.map((dialect) => [dialect.name, dialect] as const);
/** Kinds that say nothing of their cache. */
const SILENT = new Set(['ollama', 'lm-studio']);

describe.each(named)('%s', (name, dialect) => {
  const access = dialect.apiKey === undefined ? {} : { apiKey: dialect.apiKey };

  it('writes a span as its preset says, and its usage is in the trace', async () => {
    const { url, bodies } = await serve(dialect);
    const trace = await relay({ url, preset: name, model: 'm', ...access });
    expect(trace.text).toBe(ANSWER);
    const span = trace.segments.find((s) => s.origin === 'large')!;
    expect(span).toMatchObject({ text: SPAN, reason: 'hand-back', promptTokens: REPORTED.promptTokens });
    expect(span.cachedTokens).toBe(SILENT.has(name) ? undefined : REPORTED.cachedTokens);
    const cached = span.cachedTokens ?? 0;
    const input = REPORTED.promptTokens - cached + 0.1 * cached;
    expect(span.cost).toBeCloseTo((input + 2 * (span.tokens + span.discardedTokens)) / 1e6, 12);
    // The rest asked for the server's chat template, and told it nothing of the question.
    const [first, ...others] = bodies.filter((body) => body.max_tokens ?? body.options);
    expect(others).toEqual([]);
    if (name === 'deepseek')
      expect((first!.messages as unknown[]).at(-1)).toEqual({
        role: 'assistant',
        prefix: true,
        content: '',
        reasoning_content: 'First, all the pens: 47*36=',
      });
    expect(JSON.stringify(bodies.filter((body) => body !== first))).not.toContain(QUESTION);
    expect(trace.notes).toEqual([]);
  });

  it('is found out by the probe', async () => {
    const { url, paths } = await serve(dialect);
    const probe = await probeEndpoint({ url, ...access });
    expect(probe.model).toBe('m');
    expect(probe.continuation).toBe(presetByName(name).continuation);
    // The hosted ones are known by their addresses, not by what they list.
    expect(probe.preset).toBe(dialect.apiKey === undefined ? name : null);
    paths.length = 0;
    const trace = await relay({ url, ...access });
    expect(trace.text).toBe(ANSWER);
    expect(paths.at(-1)).toBe(
      name === 'ollama'
        ? '/api/generate'
        : dialect.apiKey && name !== 'openrouter'
          ? '/chat/completions'
          : '/completions',
    );
  });

  it('is opened on demand while the small model writes', async () => {
    const { url } = await serve(dialect);
    const small = smallModel();
    const large = connectOnDemand({ url, model: 'm', ...access });
    cleanups.push(
      () => small.close(),
      async () => large.close?.(),
    );
    const trace = await solveToTrace(QUESTION, { small, large });
    expect(trace.text).toBe(ANSWER);
    expect(trace.models.large!.id).toBe('m');
  });

  if (dialect.apiKey === undefined) return;
  it('refuses a wrong key, and the small model answers', async () => {
    const { url } = await serve(dialect);
    const small = smallModel();
    cleanups.push(() => small.close());
    const large = connectOnDemand({ url, model: 'm', apiKey: 'wrong' });
    const trace = await solveToTrace(QUESTION, { small, large });
    expect(trace.stopReason).toBe('end');
    expect(trace.answer).toBe('1480');
    expect(trace.notes.join('\n')).toMatch(/check the API key \(HTTP 401\)/);
  });
});
