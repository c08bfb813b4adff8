// `baton serve --large URL`: the same endpoints answer with the two-model trace, over real HTTP to a second, really
// started server, through the unmodified `openai` client.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import type { Trace } from '@baton/split/trace';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serve, type Served } from '../support/serve.ts';

let large: Served;
let relay: Served;
/** A relay whose large model writes everything. */
let passing: Served;
let client: OpenAI;
const messages = [
  { role: 'user' as const, content: 'Tom has 23 boxes with 47 apples each. He eats 12. How many are left?' },
];

beforeAll(async () => {
  large = await serve(['--no-pairing']);
  // Hands off at random, so that the test does not depend on what a trained model finds hard.
  relay = await serve(['--no-pairing', '--large', `${large.url}/v1`, '--policy', 'random:0.3'], 'demo-small');
  passing = await serve(['--no-pairing', '--large', `${large.url}/v1`, '--policy', 'large'], 'demo-small');
  client = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await passing?.stop();
  await relay?.stop();
  await large?.stop();
});

type Event = OpenAI.ChatCompletionChunk & { origin?: string; trace?: Trace };

async function streamed(
  options: object = {},
): Promise<{ text: string; origins: Set<string>; trace: Trace; usage: OpenAI.CompletionUsage }> {
  const stream = await client.chat.completions.create({
    model: relay.model,
    messages,
    temperature: 0,
    max_tokens: 120,
    seed: 3,
    stream: true,
    stream_options: { include_usage: true },
    ...options,
  });
  let text = '';
  let trace: Trace | undefined;
  let usage: OpenAI.CompletionUsage | undefined;
  const origins = new Map<string, string>();
  for await (const event of stream as AsyncIterable<Event>) {
    const piece = event.choices[0]?.delta.content ?? '';
    text += piece;
    if (piece !== '') origins.set(event.origin!, (origins.get(event.origin!) ?? '') + piece);
    trace = event.trace ?? trace;
    usage = event.usage ?? usage;
  }
  for (const origin of ['small', 'large'] as const) {
    const own = trace!.segments.filter((s) => s.origin === origin).map((s) => s.text);
    expect(origins.get(origin) ?? '').toBe(own.join(''));
  }
  return { text, origins: new Set(origins.keys()), trace: trace!, usage: usage! };
}

test('each chunk names its origin, and together they are the trace', async () => {
  const { text, origins, trace, usage } = await streamed();
  expect(origins).toEqual(new Set(['small', 'large']));
  expect(text).toBe(trace.text);
  expect(trace.totals.offloadSpans).toBeGreaterThan(0);
  expect(usage.completion_tokens).toBe(trace.totals.smallTokens + trace.totals.largeTokens);
  expect(trace.models.large!.location).toContain(String(large.port));
});

test('a whole answer carries the trace as well', async () => {
  const whole = (await client.chat.completions.create({
    model: relay.model,
    messages,
    temperature: 0,
    max_tokens: 40,
    seed: 3,
  })) as OpenAI.ChatCompletion & { trace: Trace };
  expect(whole.choices[0]!.message.content).toBe(whole.trace.text);
  expect(whole).not.toHaveProperty('origin');
});

test('raw completion goes on from the prompt', async () => {
  const prompt = `<|user|>\n${messages[0]!.content}\n<|assistant|>\n<think>\n`;
  const raw = (await client.completions.create({
    model: relay.model,
    prompt,
    temperature: 0,
    max_tokens: 40,
    seed: 3,
  })) as OpenAI.Completion & { trace: Trace };
  expect(raw.trace.prompt).toBe(prompt);
  expect(raw.choices[0]!.text).toBe(raw.trace.text);
});

test('stop strings end the run, whoever writes them', async () => {
  const whole = (await streamed()).text;
  const stop = whole.slice(20, 24);
  const stopped = await client.chat.completions.create({
    model: relay.model,
    messages,
    temperature: 0,
    max_tokens: 120,
    seed: 3,
    stop,
  });
  expect(stopped.choices[0]!.message.content).toBe(whole.slice(0, whole.indexOf(stop)));
  expect(stopped.choices[0]!.finish_reason).toBe('stop');
  expect((stopped as typeof stopped & { trace: Trace }).trace.text).toContain(stop);
});

describe('the large model reads the same conversation as the small one', () => {
  const earlier = [
    { role: 'user' as const, content: 'Ann has 31 pens and buys 12. How many pens does she have?' },
    { role: 'assistant' as const, content: 'The answer is \\boxed{43}.' },
  ];
  const written = async (server: Served, body: object): Promise<string> => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: server.model, temperature: 0, max_tokens: 60, ...body }),
    });
    expect(response.status).toBe(200);
    const { choices } = (await response.json()) as OpenAI.ChatCompletion;
    return choices[0]!.message.content!;
  };

  test.each([
    ['with earlier turns', { messages: [...earlier, ...messages] }],
    [
      'and goes on with an answer that has begun',
      {
        messages: [...messages, { role: 'assistant', content: 'First, the number of apples is 23*47=' }],
        continue_final_message: true,
        add_generation_prompt: false,
      },
    ],
    ['where nothing is asked', { messages: [{ role: 'user', content: '' }] }],
  ])('%s', async (_name, body) => {
    expect(await written(passing, body)).toBe(await written(large, body));
  });
});

describe('what two models cannot give is refused', () => {
  test.each([
    ['logprobs', { logprobs: 1 }],
    ['echo', { echo: true, logprobs: 1 }],
    ['prompt', { prompt: [1, 2, 3] }],
  ])('%s', async (_name, options) => {
    const request = client.completions.create({ model: relay.model, prompt: 'a', max_tokens: 2, ...options });
    await expect(request).rejects.toMatchObject({ status: 400 });
  });
});

test('a large endpoint that dies: the small model goes on alone and the trace says so', async () => {
  await large.stop('SIGKILL');
  const { text, trace } = await streamed();
  expect(text.length).toBeGreaterThan(0);
  expect(trace.totals.largeTokens).toBe(0);
  expect(trace.notes.length).toBeGreaterThan(0);
});

test('a run that fails leaves its trace', async () => {
  for (const stream of [false, true]) {
    const response = await fetch(`${passing.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: passing.model, messages, stream }),
    });
    // Nothing was written before it failed, so that a stream too has a status of its own.
    expect(response.status).toBe(500);
    const { error, trace } = (await response.json()) as {
      error: { message: string };
      trace: Trace;
    };
    expect(error.message).toMatch(/large endpoint/);
    expect(trace).toMatchObject({ stopReason: 'error', question: messages[0]!.content });
  }
});

test.each([
  ['17', '17'],
  [new Date(Date.now() + 90_000).toUTCString(), expect.stringMatching(/^[78]\d$|^90$/)],
])('a large endpoint that has had enough says when to ask again (%s)', async (given, told) => {
  // It answers what an endpoint is asked before any text, and refuses to write.
  const busy = createServer((request, response) => {
    request.resume();
    const lists = request.method === 'GET';
    response.writeHead(lists ? 200 : 429, {
      'content-type': 'application/json',
      ...(lists ? {} : { 'retry-after': given }),
    });
    response.end(JSON.stringify(lists ? { data: [{ id: 'm' }] } : { error: { message: 'slow down' } }));
  });
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
  const { port } = busy.address() as AddressInfo;
  const address = `http://127.0.0.1:${port}/v1`;
  const server = await serve(['--no-pairing', '--large', address, '--policy', 'large'], 'demo-small');
  try {
    for (const stream of [false, true]) {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: server.model, messages, stream }),
      });
      expect(response.status).toBe(429);
      expect(response.headers.get('retry-after')).toEqual(told);
      expect(await response.json()).toMatchObject({
        error: { type: 'rate_limit_error', message: expect.stringMatching(/slow down/) },
      });
    }
  } finally {
    await server.stop();
    busy.closeAllConnections();
    busy.close();
  }
});
