import { describe, expect, it } from 'vitest';

import type { TextChunk, TextModel } from '@baton/runtime/text-model';

import { cleanups, server } from '../../test/cleanups.ts';
import { finish, json, silence, status, stream } from '../../test/fault-server.ts';
import type { FaultServer, Script } from '../../test/fault-server.ts';
import { ngramModel, promptOf } from '../../test/ngram-model.ts';
import { ANSWER, QUESTION, SPAN, largeModel, smallModel } from '../../test/pair.ts';
import { serveModel } from '../bench/model-endpoint.ts';
import { isContinuing } from '../relay/large-side.ts';
import { solveToTrace } from '../solve.ts';
import {
  ChatContinuationModel,
  OllamaModel,
  OpenAICompletionsModel,
  PRESETS,
  connect,
  endpointPool,
  probeEndpoint,
} from './index.ts';
import type { EndpointOptions } from './index.ts';
import { parseRetryAfter } from './http-errors.ts';
import { parseEvent } from './wire.ts';

async function collect(chunks: AsyncIterable<TextChunk>): Promise<{ text: string; last: TextChunk | null }> {
  let text = '';
  let last: TextChunk | null = null;
  for await (const chunk of chunks) {
    text += chunk.text;
    last = chunk;
  }
  return { text, last };
}

/** A chat server of one dialect: continues only turns that are marked in its way. */
const chat =
  (marked: (body: Record<string, unknown>) => boolean, echo = false): Script =>
  (response, body, request) => {
    if (!request.url!.endsWith('/chat/completions')) return status(404)(response, body, request);
    const messages = body.messages as { role: string; content: string }[];
    const last = messages.at(-1)!;
    const continues = last.role === 'assistant' && marked(body);
    const content = `${echo && continues ? last.content : ''}${continues ? ' Friday' : 'The working days are Monday'}`;
    if (body.stream !== true)
      return json(response, 200, { choices: [{ message: { content }, finish_reason: 'stop' }] });
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of content.match(/.{1,5}/gs) ?? [])
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: piece } }] })}\n\n`);
    finish(response);
  };

const DIALECTS = [
  ['continue', (body: Record<string, unknown>) => body.continue_final_message === true],
  [
    'prefix',
    (body: Record<string, unknown>) => (body.messages as { prefix?: boolean }[]).at(-1)!.prefix === true,
  ],
  [
    'trailing',
    (body: Record<string, unknown>) =>
      body.continue_final_message === undefined &&
      (body.messages as { prefix?: boolean }[]).at(-1)!.prefix === undefined,
  ],
] as const;

describe('the probe', () => {
  it('finds raw completion with log-probabilities', async () => {
    const model = largeModel();
    const endpoint = await serveModel(model);
    cleanups.push(
      () => endpoint.close(),
      () => model.close(),
    );
    const probe = await probeEndpoint({ url: endpoint.url });
    expect(probe).toMatchObject({
      model: 'tiny-large',
      continuation: 'raw',
      logprobs: true,
      reportsCachedTokens: true,
    });
  });

  it.each(DIALECTS)('finds a server that continues by "%s"', async (dialect, marked) => {
    const endpoint = await server(chat(marked));
    expect((await probeEndpoint({ url: endpoint.url })).continuation).toBe(dialect);
    const model = await connect({ url: endpoint.url });
    expect((model as ChatContinuationModel).dialect).toBe(dialect);
  });

  it('falls back to asking in words', async () => {
    const endpoint = await server(chat(() => false));
    const probe = await probeEndpoint({ url: endpoint.url });
    expect(probe.continuation).toBe('phrase');
    expect(probe.remarks.join('\n')).toMatch(/accepted but the turn was not continued/);
  });

  it('ends at once where nothing else would work either', async () => {
    const endpoint = await server(status(401));
    await expect(probeEndpoint({ url: endpoint.url })).rejects.toThrow('check the API key');
    expect(endpoint.bodies).toHaveLength(1);
    await expect(connect({ url: 'not an address' })).rejects.toThrow('is not an address');
    await expect(connect({ url: 'ftp://x' })).rejects.toThrow('only http and https');
    await expect(connect({ url: endpoint.url, preset: 'nobody' })).rejects.toThrow('unknown endpoint preset');
  });
});

describe('chat continuation', () => {
  it('cuts off a prefix that comes back, and only that', async () => {
    const endpoint = await server(chat(() => true, true));
    const model = new ChatContinuationModel({ url: endpoint.url, model: 'm' }, 'prefix');
    const turn = { question: 'Days?', partial: 'Monday, Tuesday,', prompt: '', answer: '' };
    expect((await collect(model.continueAssistant(turn))).text).toBe(' Friday');
  });

  it('plays the large model in a relay', async () => {
    const endpoint = await server((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const content of [SPAN, '\nThen, the'])
        response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
      finish(response);
    });
    const small = smallModel();
    cleanups.push(() => small.close());
    const large = new ChatContinuationModel({ url: endpoint.url, model: 'm' }, 'continue');
    const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false });
    expect(trace.text).toBe(ANSWER);
    expect(endpoint.bodies[0]).toMatchObject({
      messages: [
        { role: 'user', content: QUESTION },
        { role: 'assistant', content: '<think>\nFirst, all the pens: 47*36=' },
      ],
      continue_final_message: true,
      add_generation_prompt: false,
    });
  });
});

describe('a chat endpoint that is asked for a rating', () => {
  it.each([
    ['3', true],
    [' 9 out of 9', false],
  ])('answers "%s" to a question, and goes on with the turn where it rewrites', async (rating, rewrites) => {
    const endpoint = await server((response, body) => {
      const messages = body.messages as { role: string; content: string }[];
      const asked = messages.at(-1)!.role === 'user' && /from 0 \(wrong/.test(messages.at(-1)!.content);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const content = asked ? rating : 'It is 5.\n';
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
      finish(response);
    });
    const small = smallModel();
    cleanups.push(() => small.close());
    const large = new ChatContinuationModel({ url: endpoint.url, model: 'm' }, 'phrase');
    const policy = 'spec-reason:7';
    const trace = await solveToTrace(QUESTION, {
      small,
      large,
      policy,
      keepWarm: false,
      budget: { maxTokens: 60 },
    });
    expect(trace.totals.largeTokens > 0).toBe(rewrites);
    const [first] = endpoint.bodies as { messages: { role: string; content: string }[] }[];
    expect(first!.messages).toHaveLength(1);
    expect(first!.messages[0]!.content).toMatch(/^Mia has 47[^]*A solution so far:[^]*Rating: $/);
    expect(first!.messages[0]!.content).not.toMatch(/boxed/);
  });
});

describe('presets', () => {
  // Ollama's has its own API: dialects.test.ts.
  it.each(PRESETS.filter(({ name }) => name !== 'ollama').map((preset) => [preset.name, preset] as const))(
    '%s opens without a probe and sends its fields',
    async (name, preset) => {
      const endpoint = await server(stream(['ok']));
      const model = await connect({ url: endpoint.url, preset: name, model: 'm' });
      expect(model.capabilities.billed).toBe(preset.billed);
      const turn = { question: 'q', partial: 'p', prompt: '', answer: '' };
      const chunks =
        model instanceof ChatContinuationModel
          ? model.continueAssistant(turn)
          : model.generate('p', { maxTokens: 3 });
      const { text, last } = await collect(chunks);
      expect(text).toBe('ok');
      expect(last!.usage).toEqual({ promptTokens: 100, completionTokens: 7, cachedTokens: 60 });
      expect(endpoint.bodies[0]).toMatchObject({ model: 'm', stream: true, ...preset.extraBody });
      for (const [field, own] of Object.entries(preset.fieldNames ?? {}))
        if (own === null) expect(endpoint.bodies[0]).not.toHaveProperty(field);
    },
  );
});

describe('a limit of Infinity', () => {
  const turn = { question: 'q', partial: 'p', prompt: '', answer: '' };
  const asked = async (open: (options: EndpointOptions) => AsyncIterable<TextChunk>): Promise<unknown> => {
    const endpoint = await server(stream(['ok']));
    await collect(open({ url: endpoint.url, model: 'm' })).catch(() => undefined);
    return endpoint.bodies[0];
  };

  it('is what each API has for it', async () => {
    const unlimited = { maxTokens: Infinity };
    const raw = await asked((options) => new OpenAICompletionsModel(options).generate('p', unlimited));
    expect(raw).toMatchObject({ max_tokens: 4096 });
    const chat = await asked((options) =>
      new ChatContinuationModel(options, 'prefix').continueAssistant(turn, unlimited),
    );
    expect(chat).not.toHaveProperty('max_tokens');
    const ollama = await asked((options) => new OllamaModel(options).generate('p', unlimited));
    expect(ollama).toMatchObject({ options: { num_predict: -1 } });
  });
});

it('a template that several wait for comes though the first of them gives up', async () => {
  const template: Script = (response) =>
    setTimeout(() => json(response, 200, { prompt: 'Q: Text 0 stands here: 7f3a9c.\nA: ' }), 100);
  const endpoint = await server(template, stream(['ok']));
  const model = await connect({ url: endpoint.url, preset: 'llama.cpp', model: 'm' });
  if (!isContinuing(model)) throw new Error('it has no template');
  const turn = { question: 'Days?', partial: 'Mon', prompt: '', answer: 'Mon' };
  const control = new AbortController();
  const first = model.promptOf!(turn, control.signal);
  const second = model.promptOf!(turn, new AbortController().signal);
  await expect.poll(() => endpoint.bodies.length).toBe(1);
  control.abort();
  await expect(first).rejects.toThrow('cancelled');
  expect(await second).toBe('Q: Days?\nA: Mon');
});

describe('usage', () => {
  it.each([
    [
      'OpenAI',
      { usage: { prompt_tokens: 9, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 } } },
    ],
    ['DeepSeek', { usage: { prompt_tokens: 9, completion_tokens: 2, prompt_cache_hit_tokens: 4 } }],
    ['llama.cpp', { usage: { prompt_tokens: 9, completion_tokens: 2 }, timings: { cache_n: 4 } }],
  ])('is read from %s', (_, body) => {
    const { usage } = parseEvent(JSON.stringify({ choices: [], ...body }), 'here');
    expect(usage).toEqual({ promptTokens: 9, completionTokens: 2, cachedTokens: 4 });
  });

  it('Retry-After is seconds or a date', () => {
    expect(parseRetryAfter('2', 0)).toBe(2000);
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:00:05 GMT', 2000)).toBe(3000);
    expect(parseRetryAfter('soon', 0)).toBeUndefined();
    expect(parseRetryAfter(null, 0)).toBeUndefined();
  });
});

describe('a pool', () => {
  it('runs no more requests at once than an endpoint takes, and leaves the queue when cancelled', async () => {
    let running = 0;
    let most = 0;
    const slow: Script = (response) => {
      most = Math.max(most, ++running);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      setTimeout(() => {
        running--;
        finish(response);
      }, 20);
    };
    const endpoint = await server(slow);
    const model = new OpenAICompletionsModel({ url: endpoint.url, model: 'm' });
    const pool = endpointPool([{ model, concurrency: 2 }]);
    const cancelled = new AbortController();
    const runs = Array.from({ length: 6 }, () => collect(pool.generate('p')));
    const waiting = collect(pool.generate('p', { signal: cancelled.signal }));
    cancelled.abort();
    await expect(waiting).rejects.toThrow('cancelled');
    await Promise.all(runs);
    expect(most).toBe(2);
    expect(endpoint.bodies).toHaveLength(6);
  });

  it('leaves a failed endpoint alone for a while', async () => {
    const bad = await server(status(500));
    const good = await server(stream(['fine']));
    let clock = 0;
    const pool = endpointPool(
      [bad, good].map(({ url }) => ({ model: new OpenAICompletionsModel({ url, model: 'm', retries: 0 }) })),
      { restMs: 1000, clock: () => clock },
    );
    expect((await collect(pool.generate('p'))).text).toBe('fine');
    await collect(pool.generate('p'));
    expect(bad.bodies).toHaveLength(1);
    clock = 2000;
    await collect(pool.generate('p'));
    expect(bad.bodies).toHaveLength(2);
  });

  it('tells of a failure that a withdrawn request met', async () => {
    const bad = await server(status(500));
    const good = await server(silence, stream(['fine']));
    const pool = endpointPool(
      [bad, good].map(({ url }) => ({ model: new OpenAICompletionsModel({ url, model: 'm', retries: 0 }) })),
    );
    const control = new AbortController();
    const withdrawn = collect(pool.generate('p', { maxTokens: 1, signal: control.signal }));
    await expect.poll(() => good.bodies.length).toBe(1);
    control.abort();
    await expect(withdrawn).rejects.toThrow('cancelled');
    const notes: string[] = [];
    for await (const chunk of pool.generate('p')) notes.push(...(chunk.notes ?? []));
    expect(notes).toEqual([expect.stringMatching(/HTTP 500.*went on with the next endpoint/)]);
  });

  it('scores with the first endpoint that can and works', async () => {
    // A large model that finds the small one's first line unlikely, and writes a better one.
    const scores: Script = (response, body) => {
      if (body.echo !== true) return stream([`${SPAN}\n`])(response, body, undefined as never);
      const tokens = String(body.prompt).match(/[^]{1,5}/g)!;
      const logprobs = { tokens: [...tokens, 'x'], token_logprobs: [...tokens.map(() => -2), -1] };
      json(response, 200, { choices: [{ text: 'x', finish_reason: 'length', logprobs }] });
    };
    const [dead, able] = [await server(status(500)), await server(scores)];
    const chat = await server(status(404));
    const pool = (models: TextModel[]): TextModel => endpointPool(models.map((model) => ({ model })));
    const member = ({ url }: FaultServer): TextModel =>
      new OpenAICompletionsModel({ url, model: 'm', retries: 0 });
    const talker = new ChatContinuationModel({ url: chat.url, model: 'm' }, 'phrase');
    const small = smallModel();
    cleanups.push(() => small.close());
    const options = { small, policy: 'step-score:-0.5', keepWarm: false, budget: { maxTokens: 40 } };
    const trace = await solveToTrace(QUESTION, {
      ...options,
      large: pool([talker, member(dead), member(able)]),
    });
    expect(trace.totals.largeTokens).toBeGreaterThan(0);
    expect(dead.bodies.some((body) => body.echo === true)).toBe(true);
    const none = await solveToTrace(QUESTION, { ...options, large: pool([talker]) });
    expect(none.notes.join()).toMatch(/gives no log-probabilities of a prompt/);
  });

  it.each([{ completion_tokens: 0, prompt_tokens: 9 }, undefined])(
    'drafts exactly where a server lists no token behind the end of its text (usage %j)',
    async (usage) => {
      // Each character is a token, and only the answer is likely.
      const whole = promptOf(QUESTION) + ANSWER;
      const large = await server((response, body, request) => {
        const prompt = String(body.prompt);
        const next = whole.slice(prompt.length, prompt.length + 1);
        if (body.echo !== true) return stream([next])(response, body, request);
        const tokens = [...(prompt + next)];
        const logprobs = {
          tokens,
          token_logprobs: tokens.map(() => -1),
          top_logprobs: tokens.map((_, i) => ({ [whole[i]!]: -0.1 })),
        };
        const choice = { text: prompt + next, finish_reason: next === '' ? 'stop' : 'length', logprobs };
        json(response, 200, { choices: [choice], ...(next === '' && usage ? { usage } : {}) });
      });
      const small = ngramModel({ documents: [whole] });
      cleanups.push(() => small.close());
      const model = new OpenAICompletionsModel({ url: large.url, model: 'm' });
      const options = { small, large: model, policy: 'speculative:8', keepWarm: false };
      const trace = await solveToTrace(QUESTION, options);
      expect(trace.text).toBe(ANSWER);
    },
  );

  it('waits no longer for an answer to begin than another endpoint is worth', async () => {
    const [mute, good] = [await server(silence), await server(stream(['fine']))];
    const members = [mute, good].map(({ url }) => ({
      model: new OpenAICompletionsModel({ url, model: 'm' }),
    }));
    const pool = endpointPool(members, { firstMs: 80 });
    const notes: string[] = [];
    for await (const chunk of pool.generate('p')) notes.push(...(chunk.notes ?? []));
    expect(notes).toEqual([`${mute.url}: nothing arrived for 80 ms; went on with the next endpoint`]);
    await expect.poll(() => mute.closedEarly).toBe(1);
  });

  it('fails with the last failure when nobody is left', async () => {
    const dead = await server(silence);
    const model = new OpenAICompletionsModel({ url: dead.url, model: 'm', retries: 0, connectMs: 50 });
    await expect(collect(endpointPool([{ model }]).generate('p'))).rejects.toThrow(
      'nothing arrived for 50 ms',
    );
  });
});

describe('keeping warm', () => {
  it('sends growing prefixes of the answer, and the hand-off continues the newest', async () => {
    const model = largeModel();
    const small = smallModel({ latency: { pass: 3, token: 0 } });
    const endpoint = await serveModel(model);
    cleanups.push(
      () => endpoint.close(),
      () => model.close(),
      () => small.close(),
    );
    const large = new OpenAICompletionsModel({ url: endpoint.url });
    const trace = await solveToTrace(QUESTION, { small, large, streamPrompts: false });
    expect(trace.text).toBe(ANSWER);
    const prompts = endpoint.requests.map(({ prompt }) => prompt);
    expect(trace.totals.warmUp!.requests).toBe(
      endpoint.requests.filter(({ maxTokens }) => maxTokens === 1).length,
    );
    expect(trace.totals.warmUp!.requests).toBeGreaterThan(0);
    for (const [i, prompt] of prompts.entries())
      if (i > 0) expect(prompt.startsWith(prompts[i - 1]!)).toBe(true);
  });

  it('is off where input is billed', async () => {
    const model = largeModel();
    const small = smallModel();
    const endpoint = await serveModel(model);
    cleanups.push(
      () => endpoint.close(),
      () => model.close(),
      () => small.close(),
    );
    const large = new OpenAICompletionsModel({ url: endpoint.url, apiKey: 'secret' });
    const trace = await solveToTrace(QUESTION, { small, large });
    expect(trace.text).toBe(ANSWER);
    expect(endpoint.requests).toHaveLength(1);
  });
});
