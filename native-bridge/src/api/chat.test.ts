// Chat as OpenAI's own client and others ask for it.
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startBridge, type Bridge } from '../start.ts';

let bridge: Bridge;
let client: OpenAI;
const request = {
  model: 'default',
  messages: [{ role: 'user' as const, content: 'Tom has 3 apples and buys 4 more. How many has he?' }],
  max_tokens: 6,
};
beforeAll(async () => {
  bridge = await startBridge({ model: 'demo-small', target: 'ort-cpu', port: 0, pairing: false });
  client = new OpenAI({ baseURL: `${bridge.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await bridge?.close();
});

test('the client’s stream helper puts together the log-probabilities of a whole answer', async () => {
  const options = { ...request, temperature: 0, logprobs: true };
  const whole = await client.chat.completions.create(options);
  const streamed = await client.chat.completions.stream(options).finalChatCompletion();
  const tokens = (completion: OpenAI.ChatCompletion): string[] =>
    completion.choices[0]!.logprobs!.content!.map(({ token }) => token);
  expect(tokens(streamed)).toEqual(tokens(whole));
  expect(streamed.choices[0]!.message).toMatchObject(whole.choices[0]!.message);
});

test('the first chunk of every choice has the role and nothing else', async () => {
  const stream = await client.chat.completions.create({ ...request, n: 2, logprobs: true, stream: true });
  const chunks: OpenAI.ChatCompletionChunk.Choice[] = [];
  for await (const { choices } of stream) chunks.push(...choices);
  for (const index of [0, 1]) {
    const [first, ...rest] = chunks.filter((choice) => choice.index === index);
    expect(first).toEqual({
      index,
      delta: { role: 'assistant', content: '' },
      logprobs: null,
      finish_reason: null,
    });
    expect(rest.some(({ delta }) => 'role' in delta)).toBe(false);
  }
});

test('a prompt that does not fit is still refused before the stream begins', async () => {
  const messages = [{ role: 'user' as const, content: 'a'.repeat(5000) }];
  const stream = client.chat.completions.create({ ...request, messages, stream: true });
  await expect(stream).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
});

test('top_p 0 is the likeliest token, whatever the temperature', async () => {
  const text = async (options: object): Promise<string | null> =>
    (await client.chat.completions.create({ ...request, ...options })).choices[0]!.message.content;
  const greedy = await text({ temperature: 0 });
  for (const seed of [1, 2, 3]) expect(await text({ temperature: 5, top_p: 0, seed })).toBe(greedy);
});

test('a picture is refused as what it is', async () => {
  const picture = { type: 'image_url' as const, image_url: { url: 'data:image/png;base64,AAAA' } };
  const content = [{ type: 'text' as const, text: 'What is this?' }, picture];
  const answer = client.chat.completions.create({ ...request, messages: [{ role: 'user', content }] });
  await expect(answer).rejects.toMatchObject({
    status: 400,
    param: 'messages.0.content.1.type',
    message: expect.stringContaining('this server reads text only'),
  });
});

test('parts of text are one text', async () => {
  const [whole] = request.messages;
  const content = [whole!.content.slice(0, 9), whole!.content.slice(9)].map((text) => ({
    type: 'text' as const,
    text,
  }));
  const text = async (messages: OpenAI.ChatCompletionMessageParam[]): Promise<string | null> =>
    (await client.chat.completions.create({ ...request, messages, temperature: 0 })).choices[0]!.message
      .content;
  expect(await text([{ role: 'user', content }])).toBe(await text(request.messages));
});
