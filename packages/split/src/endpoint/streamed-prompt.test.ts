import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { TextChunk } from '@baton/runtime/text-model';
import { afterEach, describe, expect, it } from 'vitest';

import { cleanups } from '../../test/cleanups.ts';
import { event, finish } from '../../test/fault-server.ts';
import { ANSWER, QUESTION, largeModel, smallModel } from '../../test/pair.ts';
import { closeServer, serveModel } from '../bench/model-endpoint.ts';
import type { SolveEvent } from '../events.ts';
import { solveToTrace } from '../solve.ts';
import { OpenAICompletionsModel, connectOnDemand } from './index.ts';
import { READ_AHEAD, READS_ALONG } from './read-along.ts';

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
});

interface Seen {
  /** Whether its length was told beforehand. */
  whole: boolean;
  body: string;
  /** How often something of it arrived. */
  pieces: number;
  closed: boolean;
}

/** A server that says that it reads along; `answer` is called when a request is complete. */
async function alongServer(
  answer: (response: ServerResponse, seen: Seen) => void,
  { seconds = 30, begun }: { seconds?: number; begun?: (request: IncomingMessage, n: number) => void } = {},
): Promise<{ url: string; requests: Seen[] }> {
  const requests: Seen[] = [];
  const server = createServer((request, response) => {
    if (seconds > 0) response.setHeader(READS_ALONG, String(seconds));
    if (request.method === 'GET') return void response.end(JSON.stringify({ data: [{ id: 'm' }] }));
    const seen: Seen = {
      whole: request.headers['content-length'] !== undefined,
      body: '',
      pieces: 0,
      closed: false,
    };
    requests.push(seen);
    request.on('data', (piece: Buffer) => {
      seen.body += piece.toString();
      seen.pieces++;
    });
    request.once('error', () => undefined);
    request.once('close', () => (seen.closed = true));
    request.once('end', () => answer(response, seen));
    begun?.(request, requests.length);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, requests };
}

const wrote =
  (text: string) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(event(text));
    finish(response);
  };

async function textOf(chunks: AsyncIterable<TextChunk>): Promise<string> {
  let text = '';
  for await (const chunk of chunks) text += chunk.text;
  return text;
}

/** A model that has been told that its server reads along. */
async function told(url: string): Promise<OpenAICompletionsModel> {
  const model = new OpenAICompletionsModel({ url });
  await textOf(model.generate('hello', { maxTokens: 1 }));
  return model;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('a prompt that is sent while it grows', () => {
  it('makes the same request as one that is sent whole', async () => {
    const { url, requests } = await alongServer(wrote(' fine'));
    const model = await told(url);
    const prompt = 'Q: "What" is \\boxed{\u{1F600}}?\n\u0001<think>\n';
    const options = { maxTokens: 7, stop: ['\n\n'], sampling: { temperature: 0.5, seed: 3 }, topLogprobs: 2 };
    const opened = model.openPrompt('Q: "Wh')!;
    for (const length of [9, 15, 20, 22, 23, 24, 30]) {
      opened.extend(prompt.slice(0, length));
      await pause(4);
    }
    expect(requests[1]!.pieces).toBeGreaterThan(3);
    expect(await textOf(model.generate(prompt, options))).toBe(' fine');
    expect(await textOf(model.generate(prompt, options))).toBe(' fine');
    const [, streamed, whole] = requests;
    expect([streamed!.whole, whole!.whole]).toEqual([false, true]);
    expect(JSON.parse(streamed!.body)).toEqual(JSON.parse(whole!.body));
    expect(requests.length).toBe(3);
  });

  it('is not begun before the server has said that it reads along', async () => {
    const { url } = await alongServer(wrote('a'));
    const model = new OpenAICompletionsModel({ url, model: 'm' });
    expect(model.openPrompt('Q')).toBeNull();
    await textOf(model.generate('Q'));
    expect(model.openPrompt('Q')).not.toBeNull();
  });

  it.each([
    ['that does not say so', 0, {}],
    ['where fetch is asked to send', 30, { fetch: (url: string, init: RequestInit) => fetch(url, init) }],
  ])('is not begun for a server %s', async (_, seconds, extra) => {
    const { url } = await alongServer(wrote('a'), { seconds });
    const model = new OpenAICompletionsModel({ url, model: 'm', ...(extra as object) });
    await textOf(model.generate('Q'));
    expect(model.openPrompt('Q')).toBeNull();
  });

  it('is left when another one is asked for, and closed when nobody wants it', async () => {
    const { url, requests } = await alongServer(wrote('a'));
    const model = await told(url);
    const opened = model.openPrompt('One question')!;
    await textOf(model.generate('Another question'));
    expect(requests[2]!.whole).toBe(true);
    expect(opened.usable).toBe(true);
    opened.close();
    expect(opened.usable).toBe(false);
    await expect.poll(() => requests[1]!.closed).toBe(true);
    await textOf(model.generate('One question more'));
    expect(requests.at(-1)!.whole).toBe(true);
  });

  it('goes to the request that it is the longest beginning of, once', async () => {
    const { url, requests } = await alongServer(wrote('a'));
    const model = await told(url);
    model.openPrompt('A');
    model.openPrompt('A and B');
    await textOf(model.generate('A and B and C'));
    await textOf(model.generate('A and B and D'));
    await textOf(model.generate('A and B and E'));
    expect(requests.map(({ whole }) => whole)).toEqual([true, false, false, true]);
    expect(requests.slice(1).map(({ body }) => (JSON.parse(body) as { prompt: string }).prompt)).toEqual([
      'A and B and D',
      'A and B and C',
      'A and B and E',
    ]);
  });

  it('is not gone on with when the server will not wait much longer', async () => {
    const { url, requests } = await alongServer(wrote('a'), { seconds: 0.05 });
    const model = await told(url);
    const opened = model.openPrompt('Q: ')!;
    await pause(60);
    expect(opened.usable).toBe(false);
    expect(await textOf(model.generate('Q: one'))).toBe('a');
    expect(requests.at(-1)!.whole).toBe(true);
  });

  it.each([
    ['the server refuses it', (response: ServerResponse) => response.writeHead(411).end()],
    ['the connection breaks at its end', (response: ServerResponse) => response.destroy()],
  ])('is asked for whole where %s, and from then on', async (_, refuse) => {
    const { url, requests } = await alongServer((response, seen) =>
      seen.whole ? wrote('fine')(response) : refuse(response),
    );
    const model = await told(url);
    model.openPrompt('Q: ');
    expect(await textOf(model.generate('Q: one'))).toBe('fine');
    expect(requests.map(({ whole }) => whole)).toEqual([true, false, true]);
    expect(model.openPrompt('Q: ')).toBeNull();
  });

  it('is asked for whole where the connection breaks while it grows', async () => {
    const { url, requests } = await alongServer(wrote('fine'), {
      begun: (request, n) => void (n === 2 && setTimeout(() => request.socket.destroy(), 10)),
    });
    const model = await told(url);
    const opened = model.openPrompt('Q: ')!;
    await expect.poll(() => opened.usable).toBe(false);
    opened.extend('Q: one');
    expect(await textOf(model.generate('Q: one'))).toBe('fine');
    expect(requests.map(({ whole }) => whole)).toEqual([true, false, true]);
  });

  it.each([
    ['something on the way keeps requests until they are whole', {}, true],
    ['the server has read nothing of it', { [READ_AHEAD]: '0' }, true],
    ['the server has read of it', { [READ_AHEAD]: '40' }, false],
  ])('is no more after an answer that shows that %s', async (_, headers, collected) => {
    const { url } = await alongServer((response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      wrote('fine')(response);
    });
    const model = await told(url);
    const prompt = 'Q: how many miles is that in all? '.repeat(2);
    const ask = async (afterMs: number): Promise<TextChunk[]> => {
      model.openPrompt(prompt);
      await pause(afterMs);
      return Array.fromAsync(model.generate(`${prompt}Think.`));
    };
    // Nobody reads in no time.
    expect((await ask(0)).flatMap(({ notes = [] }) => notes)).toEqual([]);
    expect(model.openPrompt('Q')?.close()).toBe(true);
    const chunks = await ask(1050);
    expect(chunks.map(({ text }) => text).join('')).toBe('fine');
    expect(chunks.flatMap(({ notes = [] }) => notes)).toEqual(
      collected ? [expect.stringContaining('proxy')] : [],
    );
    expect(model.openPrompt('Q') === null).toBe(collected);
  });

  it('ends with whoever asked for it', async () => {
    const { url, requests } = await alongServer((response, seen) => {
      if (seen.whole) wrote('a')(response);
    });
    const model = await told(url);
    model.openPrompt('Q: ');
    const control = new AbortController();
    const unanswered = textOf(model.generate('Q: one', { signal: control.signal }));
    setTimeout(() => control.abort(), 20);
    await expect(unanswered).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(() => requests[1]!.closed).toBe(true);
    expect(requests.length).toBe(2);
  });
});

describe('a relay whose large endpoint reads along', () => {
  it('hands off with the request that was under way, the same text in it', async () => {
    const [small, large] = [smallModel(), largeModel()];
    const endpoint = await serveModel(large, 20);
    cleanups.push(
      () => endpoint.close(),
      () => large.close(),
      () => small.close(),
    );
    const remote = connectOnDemand({ url: endpoint.url });
    const run = (streamPrompts: boolean): ReturnType<typeof solveToTrace> =>
      solveToTrace(QUESTION, { small, large: remote, streamPrompts });
    const first = await run(false);
    const before = endpoint.requests.length;
    const trace = await run(true);
    expect(trace.segments.map(({ text }) => text).join('')).toBe(ANSWER);
    expect(trace.segments.map(({ text, origin }) => [text, origin])).toEqual(
      first.segments.map(({ text, origin }) => [text, origin]),
    );
    const handOffs = (requests: typeof endpoint.requests): string[] =>
      requests.filter(({ maxTokens }) => maxTokens !== 1).map(({ prompt }) => prompt);
    expect(handOffs(endpoint.requests.slice(before))).toEqual(handOffs(endpoint.requests.slice(0, before)));
    // None but the hand-off itself came to its end.
    expect(before).toBeGreaterThan(1);
    expect(endpoint.requests.length).toBe(before + 1);
    expect(trace.totals.warmUp!.requests).toBeGreaterThan(0);
  });

  it('tells what was sent of a prompt that nobody asked for, and pays for it where it has a price', async () => {
    const [small, large] = [smallModel(), largeModel()];
    const endpoint = await serveModel(large);
    cleanups.push(
      () => endpoint.close(),
      () => large.close(),
      () => small.close(),
    );
    const remote = new OpenAICompletionsModel({ url: endpoint.url, model: large.id });
    await textOf(remote.generate('hello', { maxTokens: 1 }));
    const sent: SolveEvent[] = [];
    const prices = { input: 1000, output: 0 };
    const options = { small, large: remote, prices };
    const trace = await solveToTrace(QUESTION, options, (event) => void sent.push(event));
    const requests = sent.filter((event) => event.type === 'request');
    const whole = trace.prompt + trace.text;
    const last = requests.at(-1)!;
    expect(last.kind).toBe('warm-up');
    expect(whole.startsWith(last.prompt)).toBe(true);
    expect(last.prompt.length).toBeGreaterThan(whole.length - 40);
    const spans = trace.segments.reduce((sum, { cost = 0 }) => sum + cost, 0);
    expect(trace.totals.cost).toBeGreaterThan(spans);
  });
});
