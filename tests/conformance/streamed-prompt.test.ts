// Prompts that are sent while they are still being written: read into a cache as they come, by clients that are let in, and
// answered like any other.
import http from 'node:http';
import { openLocal } from '@baton/runtime/node';
import { connectOnDemand, solveToTrace } from '@baton/split';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serve, type Served } from '../support/serve.ts';

interface Reply {
  status: number;
  /** Characters that were read before the request was whole. */
  readAhead: number;
  body: {
    choices: { text: string }[];
    usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
    error?: { message: string };
  };
}

/** A request whose body the test sends piece by piece. */
function begin(server: Served): { request: http.ClientRequest; reply: Promise<Reply> } {
  const headers = { 'content-type': 'application/json' };
  const request = http.request(`${server.url}/v1/completions`, { method: 'POST', headers, agent: false });
  const reply = new Promise<Reply>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (text += piece));
      response.once('end', () =>
        resolve({
          status: response.statusCode!,
          readAhead: Number(response.headers['baton-read-ahead']),
          body: JSON.parse(text) as Reply['body'],
        }),
      );
    });
  });
  reply.catch(() => undefined);
  return { request, reply };
}

const status = async (server: Served): Promise<Record<string, number>> =>
  (await (await fetch(`${server.url}/v1/status`)).json()) as Record<string, number>;

/** About a thousand tokens would not fit; some 400 do, and take the server longer than a request. */
const prompt = (who: string): string =>
  `<|user|>\n${who} counts ${Array.from({ length: 90 }, (_, i) => `${i} birds`).join(', ')}\n<|assistant|>\n`;
const start = (text: string): string => `{"model":"default","prompt":${JSON.stringify(text).slice(0, -1)}`;
const END = '","max_tokens":5,"temperature":0}';

describe('a prompt that comes in pieces', () => {
  let server: Served;
  beforeAll(async () => {
    server = await serve(['--no-pairing', '--target', 'ort-cpu']);
  });
  afterAll(async () => {
    await server?.stop();
  });

  test('is in the cache when its end comes, and answered as one that came whole', async () => {
    const text = prompt('Tom');
    const { request, reply } = begin(server);
    request.write(start(text.slice(0, 300)));
    await expect.poll(async () => (await status(server)).conversations).toBe(1);
    request.write(text.slice(300).replaceAll('\n', '\\n'));
    await expect.poll(async () => (await status(server)).running, { interval: 1 }).toBe(1);
    await expect.poll(async () => (await status(server)).running).toBe(0);
    request.end(END);
    const { body, readAhead } = await reply;
    expect(text.length - readAhead).toBeLessThan(24);
    const { prompt_tokens, prompt_tokens_details } = body.usage;
    expect(prompt_tokens_details.cached_tokens).toBeGreaterThan(prompt_tokens - 6);
    const whole = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: text, max_tokens: 5, temperature: 0 }),
    });
    expect(whole.headers.get('baton-reads-along')).toBe('30');
    expect(whole.headers.has('baton-read-ahead')).toBe(false);
    expect(((await whole.json()) as Reply['body']).choices[0]!.text).toBe(body.choices[0]!.text);
  });

  test('of a client that leaves is dropped, and others are served', async () => {
    const { request } = begin(server);
    request.write(start(prompt('Mia')));
    await expect.poll(async () => (await status(server)).running, { interval: 1 }).toBe(1);
    request.destroy();
    await expect.poll(async () => (await status(server)).running).toBe(0);
    const { request: next, reply } = begin(server);
    next.end(start('2 + 2 =') + END);
    expect((await reply).status).toBe(200);
  });

  test.each([
    ['that ends in something else than JSON', 400, start(prompt('Ann').slice(0, 200)), 'nothing}'],
    ['for a model that is not here', 404, '{"model":"other","prompt":"a prompt of some length', END],
    ['that is larger than the limit', 413, start('a'.repeat(2 ** 20)), 'a'.repeat(2 ** 22) + END],
  ])('%s is refused with %i', async (_, code, first, rest) => {
    const { request, reply } = begin(server);
    request.write(first);
    await new Promise((resolve) => setTimeout(resolve, 50));
    request.end(rest);
    const { status: got, body } = await reply;
    expect([got, typeof body.error?.message]).toEqual([code, 'string']);
    await expect.poll(async () => (await status(server)).running).toBe(0);
  });

  test('is how a relay hands off to it', async () => {
    const small = await openLocal('demo-small');
    const large = connectOnDemand({ url: server.url });
    try {
      const question =
        'Mia drives 89 miles a day for 29 days and then walks 9 miles a day for 9 days. How many miles is that?';
      const first = await solveToTrace(question, { small, large });
      const again = await solveToTrace(`${question} `, { small, large });
      const spans = again.segments.filter(({ origin }) => origin === 'large');
      expect(spans.length).toBeGreaterThan(0);
      expect(again.totals.warmUp!.tokens).toBe(0);
      expect(again.totals.warmUp!.requests).toBeGreaterThan(0);
      expect(first.notes).toEqual([]);
      expect(again.notes).toEqual([]);
    } finally {
      await small.close();
      await large.close?.();
    }
  });
});

test('nothing of a prompt is read for who has not paired', async () => {
  const server = await serve(['--target', 'ort-cpu']);
  try {
    const { request, reply } = begin(server);
    request.write(start(prompt('Eve')));
    expect((await reply).status).toBe(401);
    request.destroy();
  } finally {
    await server.stop();
  }
});
