// The unmodified `openai` npm client against a really started `baton serve`: what any program that speaks OpenAI's API
// relies on. Checks shapes and relations, never what a particular model writes.
import http from 'node:http';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serve, type Served } from '../support/serve.ts';

let server: Served;
let client: OpenAI;
const prompt =
  '<|user|>\nTom has 3 apples and buys 4 more. How many apples does he have?\n<|assistant|>\n<think>\n';
const messages = [
  { role: 'user' as const, content: 'Tom has 3 apples and buys 4 more. How many apples does he have?' },
];

beforeAll(async () => {
  server = await serve(['--no-pairing']);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await server?.stop();
});

const complete = (options: Partial<OpenAI.CompletionCreateParamsNonStreaming> & object = {}) =>
  client.completions.create({ model: server.model, prompt, max_tokens: 12, temperature: 0, ...options });

describe('models', () => {
  test('are listed and can be asked for by id', async () => {
    const models = [];
    for await (const model of client.models.list()) models.push(model);
    expect(models.map((m) => m.id)).toEqual([server.model]);
    expect((await client.models.retrieve(server.model)).object).toBe('model');
    expect(models[0]).toHaveProperty('chat_template', expect.stringContaining('message'));
  });

  test('an unknown one is a 404 of the client’s own class', async () => {
    await expect(client.models.retrieve('gpt-4')).rejects.toBeInstanceOf(NotFoundError);
    await expect(complete({ model: 'gpt-4' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
  });
});

describe('completions', () => {
  test('streamed and whole are one text', async () => {
    const whole = await complete();
    const stream = await client.completions.create({
      model: server.model,
      prompt,
      max_tokens: 12,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    const finishes: (string | null)[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const event of stream) {
      text += event.choices[0]?.text ?? '';
      if (event.choices[0]?.finish_reason) finishes.push(event.choices[0].finish_reason);
      usage = event.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]!.text);
    expect(finishes).toEqual(['length']);
    expect(usage).toMatchObject({ completion_tokens: 12, prompt_tokens: whole.usage!.prompt_tokens });
    expect(whole.usage!.total_tokens).toBe(whole.usage!.prompt_tokens + 12);
  });

  test('without include_usage no event has usage', async () => {
    const stream = await client.completions.create({
      model: server.model,
      prompt,
      max_tokens: 2,
      stream: true,
    });
    for await (const event of stream) expect(event).not.toHaveProperty('usage');
  });

  test('a prompt that goes on is served from the cache', async () => {
    const first = await complete({ prompt: `${prompt}A cached beginning.` });
    const longer = `${prompt}A cached beginning.${first.choices[0]!.text}`;
    const again = await complete({ prompt: longer });
    const { prompt_tokens: tokens, prompt_tokens_details: details } = again.usage!;
    expect(details!.cached_tokens).toBeGreaterThan(tokens - 4);
    expect(details!.cached_tokens).toBeLessThanOrEqual(tokens);
  });

  test('several prompts and n choices come in order', async () => {
    const both = await complete({ prompt: [prompt, `${prompt}First`], n: 2, max_tokens: 3 });
    expect(both.choices.map((c) => c.index)).toEqual([0, 1, 2, 3]);
    expect(both.choices[0]!.text).toBe(both.choices[1]!.text);
    expect(both.usage!.completion_tokens).toBe(12);
    expect(both.choices[2]!.text).toBe(
      (await complete({ prompt: `${prompt}First`, max_tokens: 3 })).choices[0]!.text,
    );
  });

  test('the same seed gives the same text, on every choice its own', async () => {
    const options = { temperature: 2, seed: 7, n: 2, max_tokens: 16 };
    const [a, b] = [await complete(options), await complete(options)];
    expect(a.choices.map((c) => c.text)).toEqual(b.choices.map((c) => c.text));
    expect(a.choices[0]!.text).not.toBe(a.choices[1]!.text);
  });

  test('ends before a stop string and says which', async () => {
    const whole = (await complete({ max_tokens: 30 })).choices[0]!.text;
    const stop = whole.slice(8, 11);
    const stopped = (await complete({ max_tokens: 30, stop: ['\u0000never', stop] })).choices[0]!;
    expect(stopped.text).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(stopped.finish_reason).toBe('stop');
    expect(stopped).toHaveProperty('stop_reason', stop);
  });

  test('log-probabilities: one entry per token, alternatives best first, offsets into the text', async () => {
    const { choices, usage } = await complete({ logprobs: 3 });
    const { tokens, token_logprobs: own, top_logprobs: tops, text_offset: offsets } = choices[0]!.logprobs!;
    expect(tokens).toHaveLength(usage!.completion_tokens);
    expect(tokens!.join('')).toBe(choices[0]!.text);
    tokens!.forEach((token, i) => {
      expect(choices[0]!.text.startsWith(token, offsets![i])).toBe(true);
      expect(own![i]).toBeLessThanOrEqual(0);
      // Greedy: the chosen token is the best alternative.
      expect(tops![i]![token]).toBe(Math.max(...Object.values(tops![i]!)));
    });
  });

  test('echo gives the prompt back with its own log-probabilities', async () => {
    const scored = await complete({ echo: true, logprobs: 1, max_tokens: 0 });
    const { text, logprobs } = scored.choices[0]!;
    expect(text).toBe(prompt);
    expect(logprobs!.tokens!.join('')).toBe(prompt);
    expect(logprobs!.token_logprobs![0]).toBeNull();
    expect(logprobs!.token_logprobs!.slice(1).every((p) => typeof p === 'number' && p <= 0)).toBe(true);
    const echoed = (await complete({ echo: true, logprobs: 1, max_tokens: 4 })).choices[0]!;
    expect(echoed.logprobs!.tokens).toHaveLength(logprobs!.tokens!.length + 4);
  });

  test('a prompt may be token ids', async () => {
    const byText = await complete({ echo: true, logprobs: 0, max_tokens: 5 });
    const ids = (byText.choices[0] as unknown as { token_ids: number[] }).token_ids.slice(0, -5);
    const byIds = await complete({ prompt: ids, max_tokens: 5 });
    expect(byText.choices[0]!.text).toBe(prompt + byIds.choices[0]!.text);
    expect(byIds.usage!.prompt_tokens).toBe(ids.length);
  });

  test('characters spread over several tokens: the echo of ids, and offsets behind them', async () => {
    const text = 'é😀 a';
    const byText = (await complete({ prompt: text, echo: true, logprobs: 0, max_tokens: 0 })).choices[0]!;
    const { token_ids: ids } = byText as unknown as { token_ids: number[] };
    const byIds = (await complete({ prompt: ids, echo: true, logprobs: 0, max_tokens: 1 })).choices[0]!;
    expect(byIds.text.slice(0, text.length)).toBe(text);
    for (const { logprobs } of [byText, byIds])
      expect(logprobs!.text_offset![logprobs!.tokens!.indexOf(' a')]).toBe(text.indexOf(' a'));
    expect(byIds.logprobs!.text_offset!.at(-1)).toBe(text.length);
  });

  test('offsets go on where text is held back for a stop string', async () => {
    const { tokens } = (await complete({ logprobs: 0 })).choices[0]!.logprobs!;
    const stop = `${tokens!.slice(2, 4).join('')}\u0000never`;
    const { text, logprobs } = (await complete({ logprobs: 0, stop })).choices[0]!;
    expect(text).toBe(tokens!.join(''));
    expect(logprobs!.text_offset).toEqual(tokens!.map((_, i) => tokens!.slice(0, i).join('').length));
  });

  test('a bias of -100 bans a token', async () => {
    const free = await complete({ max_tokens: 1 });
    const [id] = (free.choices[0] as unknown as { token_ids: number[] }).token_ids;
    const banned = await complete({ max_tokens: 1, logit_bias: { [id!]: -100 } });
    expect((banned.choices[0] as unknown as { token_ids: number[] }).token_ids).not.toEqual([id]);
  });
});

describe('chat', () => {
  test('streamed and whole are one message', async () => {
    const whole = await client.chat.completions.create({
      model: server.model,
      messages,
      max_tokens: 10,
      temperature: 0,
    });
    const stream = await client.chat.completions.create({
      model: server.model,
      messages,
      max_completion_tokens: 10,
      temperature: 0,
      stream: true,
    });
    let text = '';
    for await (const event of stream) text += event.choices[0]!.delta.content ?? '';
    expect(whole.choices[0]!.message).toMatchObject({ role: 'assistant', content: text });
    // The template’s rendering is what raw completion continues.
    expect(text).toBe((await complete({ max_tokens: 10 })).choices[0]!.text);
  });

  test('the client’s stream helper puts the message together', async () => {
    const runner = client.chat.completions.stream({
      model: server.model,
      messages,
      max_tokens: 6,
      temperature: 0,
    });
    expect((await runner.finalChatCompletion()).choices[0]!.message.content).toBeTypeOf('string');
  });

  test('goes on with a last assistant message', async () => {
    const partial = '<think>\nFirst,';
    const whole = await client.chat.completions.create({
      model: server.model,
      messages: [...messages, { role: 'assistant', content: partial }],
      max_tokens: 8,
      temperature: 0,
    });
    const raw = await complete({ prompt: `${prompt}First,`, max_tokens: 8 });
    expect(whole.choices[0]!.message.content).toBe(raw.choices[0]!.text);
  });

  test('log-probabilities with bytes', async () => {
    const { choices } = await client.chat.completions.create({
      model: server.model,
      messages,
      max_tokens: 4,
      temperature: 0,
      logprobs: true,
      top_logprobs: 2,
    });
    const content = choices[0]!.logprobs!.content!;
    expect(content).toHaveLength(4);
    for (const entry of content) {
      expect(entry.top_logprobs).toHaveLength(2);
      expect(new TextDecoder().decode(Uint8Array.from(entry.bytes!))).toBe(entry.token);
    }
  });
});

describe('what clients of many kinds send', () => {
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  test('fields that nobody knows here are ignored; null stands for a default', async () => {
    const plain = await complete();
    const odd = { user: 'u', store: true, metadata: {}, service_tier: 'auto', reasoning_effort: 'low' };
    const nulls = { stop: null, seed: null, top_p: null, logit_bias: null, suffix: '', logprobs: null };
    const reply = await complete({ ...odd, ...nulls } as object);
    expect(reply.choices[0]!.text).toBe(plain.choices[0]!.text);
  });

  test('max_tokens -1 means until the end, as several clients write it', async () => {
    const reply = await post('/v1/completions', { prompt, max_tokens: -1, temperature: 0, stop: '\n' });
    expect(await reply.json()).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
  });

  test('a harness that scores: batches of token ids, echoed, one token more', async () => {
    const scored = await complete({ echo: true, logprobs: 1, max_tokens: 0 });
    const ids = (scored.choices[0] as unknown as { token_ids: number[] }).token_ids;
    const cut = ids.slice(3);
    const batch = await complete({ prompt: [ids, cut], echo: true, logprobs: 1, max_tokens: 1, seed: 1234 });
    expect(batch.choices).toHaveLength(2);
    expect(batch.choices[0]!.logprobs!.token_logprobs!.slice(0, -1)).toEqual(
      scored.choices[0]!.logprobs!.token_logprobs,
    );
    // A sequence cut from the left is taken as it is, whatever the tokenizer would make of its text.
    expect(batch.choices[1]!.logprobs!.tokens).toHaveLength(cut.length + 1);
    expect(batch.usage!.prompt_tokens).toBe(ids.length + cut.length);
  });

  test('ids that are no canonical writing of their text are continued as they are', async () => {
    const byText = await complete({ prompt: 'apples', echo: true, logprobs: 0, max_tokens: 0 });
    const whole = (byText.choices[0] as unknown as { token_ids: number[] }).token_ids;
    const letters = [];
    for (const letter of 'apples') {
      const one = await complete({ prompt: letter, echo: true, logprobs: 0, max_tokens: 0 });
      letters.push(...(one.choices[0] as unknown as { token_ids: number[] }).token_ids);
    }
    expect(letters.length).toBeGreaterThan(whole.length);
    const reply = await complete({ prompt: letters, max_tokens: 4 });
    expect(reply.usage!.prompt_tokens).toBe(letters.length);
    expect(reply.usage!.completion_tokens).toBe(4);
  });

  test('HEAD and a health check without a body', async () => {
    const head = await fetch(`${server.url}/v1/models`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await fetch(`${server.url}/health`, { method: 'HEAD' })).status).toBe(200);
  });

  test('every answer has an id of its request, errors too, in the shape of OpenAI’s API', async () => {
    const good = await post('/v1/completions', { prompt, max_tokens: 1 });
    const bad = await post('/v1/completions', { prompt, max_tokens: 'many' });
    for (const reply of [good, bad]) expect(reply.headers.get('x-request-id')).toMatch(/^req_/);
    expect(bad.status).toBe(400);
    expect(await bad.json()).toEqual({
      error: {
        message: expect.stringContaining('max_tokens'),
        type: 'invalid_request_error',
        param: 'max_tokens',
        code: null,
      },
    });
    expect(await (await post('/v1/nothing', {})).json()).toMatchObject({ error: { code: 'not_found' } });
  });

  test('one connection carries many requests', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number>();
    for (let i = 0; i < 5; i++) {
      ports.add(
        await new Promise<number>((resolve, reject) => {
          const request = http.get(`${server.url}/v1/models`, { agent }, (reply) => {
            reply.resume().once('end', () => resolve(request.socket!.localPort!));
          });
          request.once('error', reject);
        }),
      );
    }
    agent.destroy();
    expect(ports.size).toBe(1);
  });
});

describe('refusals are the client’s own error classes, naming the field', () => {
  test.each([
    ['temperature', { temperature: -1 }],
    ['n', { n: 0 }],
    ['prompt', { prompt: '' }],
    ['prompt', { prompt: [999_999_999] }],
    ['max_tokens', { max_tokens: 1.5 }],
    ['logprobs', { logprobs: 1000 }],
    ['best_of', { best_of: 3 }],
  ])('%s', async (param, options) => {
    await expect(complete(options)).rejects.toSatisfy(
      (e) => e instanceof BadRequestError && (e.param ?? '').startsWith(param),
    );
  });

  test('a prompt that does not fit', async () => {
    await expect(complete({ prompt: 'one two three '.repeat(4000) })).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
    });
  });

  test.each([
    ['response_format', { response_format: { type: 'json_object' as const } }, 'no structured output'],
    ['tools', { tools: [{ type: 'function' as const, function: { name: 'f' } }] }, 'no tools'],
    ['audio', { audio: { voice: 'alloy', format: 'wav' as const } }, 'no audio'],
    ['top_logprobs', { top_logprobs: 3 }, 'logprobs'],
    ['chat_template_kwargs', { chat_template_kwargs: { messages: [] } }, 'no variables'],
    ['add_generation_prompt', { add_generation_prompt: false }, 'assistant message'],
    [
      'messages.1.tool_calls',
      {
        messages: [
          messages[0]!,
          {
            role: 'assistant' as const,
            content: null,
            tool_calls: [{ id: '1', type: 'function' as const, function: { name: 'f', arguments: '{}' } }],
          },
          messages[0]!,
        ],
      },
      'no tools',
    ],
  ])('what this server cannot do is refused and named: %s', async (param, options, words) => {
    const request = client.chat.completions.create({ model: server.model, messages, ...options });
    await expect(request).rejects.toMatchObject({
      status: 400,
      param,
      message: expect.stringContaining(words),
    });
  });

  test.each([
    { response_format: { type: 'json_object' } },
    { structured_outputs: { choice: ['yes', 'no'] } },
    { guided_regex: '[0-9]+' },
    { grammar: 'root ::= "yes"' },
    { json_schema: {} },
  ])('so is structured output of a raw completion: %o', async (options) => {
    await expect(complete(options)).rejects.toMatchObject({
      status: 400,
      param: Object.keys(options)[0],
      message: expect.stringContaining('no structured output'),
    });
  });

  test('a field that is missing is told as that', async () => {
    const ask = client.post('/chat/completions', { body: { messages: [{ role: 'user' }] } });
    await expect(ask).rejects.toMatchObject({
      status: 400,
      param: 'messages.0.content',
      message: expect.stringContaining('messages.0.content: it is missing'),
    });
    await expect(client.post('/completions', { body: {} })).rejects.toMatchObject({
      message: expect.stringContaining('prompt: it is missing'),
    });
  });

  test('what asks for nothing of it is fine', async () => {
    const nothing = { response_format: { type: 'text' as const }, tools: [], chat_template_kwargs: {} };
    const reply = await client.chat.completions.create({
      model: server.model,
      messages,
      max_tokens: 2,
      ...nothing,
    });
    expect(reply.choices).toHaveLength(1);
  });
});

test('a client that leaves stops the generation', async () => {
  const stream = await client.completions.create({
    model: server.model,
    prompt,
    max_tokens: 900,
    temperature: 1.5,
    stream: true,
  });
  for await (const event of stream) {
    expect(event.choices).toHaveLength(1);
    break;
  }
  stream.controller.abort();
  const status = async (): Promise<{ running: number }> =>
    (await fetch(`${server.url}/v1/status`)).json() as never;
  await expect.poll(async () => (await status()).running).toBe(0);
});
