// Through a real HTTP server that answers as it is told, and the relay's own client: what an annotator endpoint can do to us.

import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { ChatContinuationModel, OpenAICompletionsModel } from '@baton/split/endpoint';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Annotate } from '../annotated-row.ts';
import { modelAnnotator } from './annotate-with-model.ts';
import type { ModelAnnotatorOptions } from './annotate-with-model.ts';

const TEXT = [
  'We read the problem first and note the numbers.',
  'Then 95 * 38 = 95 * 30 + 95 * 8 = 2850 + 760 = 3610.',
  'After that we take away 10, which gives 3600.',
  'Then 95 * 38 = 95 * 30 + 95 * 8 = 2850 + 760 = 3610.',
  'So the answer is \\boxed{3600}.',
].join('\n');
const HARD = 'Then 95 * 38 = 95 * 30 + 95 * 8 = 2850 + 760 = 3610.';
const row = { id: 'a', question: 'How many?', text: TEXT, prompt: null };
const quote = (...passages: string[]): string => passages.map((text) => `<step>${text}</step>`).join('\n');

interface Asked {
  path: string;
  prompt?: string;
  messages?: { role: string; content: string }[];
  temperature: number;
}

let server: Server;
let asked: Asked[];
let answers: ((response: ServerResponse) => void)[];

beforeEach(async () => {
  asked = [];
  answers = [];
  server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      asked.push({ ...(JSON.parse(body) as Asked), path: request.url! });
      (answers[asked.length - 1] ?? answers.at(-1)!)(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const says =
  (text: string) =>
  (response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const send = (content: string, finish_reason: string | null): void => {
      // A chat client reads the delta, a completions client the text.
      const choice = { index: 0, text: content, delta: { content }, finish_reason };
      response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
    };
    send(text.slice(0, 7), null);
    send(text.slice(7), null);
    send('', 'stop');
    response.end('data: [DONE]\n\n');
  };
const refuses = (response: ServerResponse): void =>
  void response.writeHead(413).end('{"error":{"message":"prompt too long"}}');

const endpoint = (): { url: string; model: string } => ({
  url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
  model: 'annotator',
});

function annotator(options: ModelAnnotatorOptions = {}): Annotate {
  return modelAnnotator(new ChatContinuationModel(endpoint(), 'trailing'), { retryMs: 1, ...options });
}

const signal = new AbortController().signal;

test('quotes become spans at their exact place, a passage quoted twice takes both of its places', async () => {
  answers = [says(quote(HARD, HARD))];
  const { spans, calls, notes } = await annotator({ share: 0.5 })(row, signal);
  expect(spans.map((span) => TEXT.slice(span.start, span.end))).toEqual([HARD, HARD]);
  expect(spans.map((span) => span.start)).toEqual([TEXT.indexOf(HARD), TEXT.lastIndexOf(HARD)]);
  expect([calls, notes]).toEqual([1, []]);
  expect(asked[0]!.path).toBe('/v1/chat/completions');
  expect(asked[0]!.messages).toHaveLength(1);
  expect(asked[0]!.messages![0]!.content).toContain(TEXT);
  expect(asked[0]!.temperature).toBe(0);
});

test('a quote with small changes is found with its identity, an invented one is said to be missing', async () => {
  answers = [
    says(quote('after that we take away 12, which gives 3600', 'The moon is made of green cheese today')),
  ];
  const { spans, notes } = await annotator()(row, signal);
  expect(spans.map((span) => TEXT.slice(span.start, span.end))).toEqual([
    'After that we take away 10, which gives 3600',
  ]);
  expect(spans[0]!.identity).toBeGreaterThan(0.9);
  expect(spans[0]!.identity).toBeLessThan(1);
  expect(notes).toEqual(['1 of 2 quoted passages do not stand in the trace']);
});

test('more than the wanted share is cut, hardest first kept; passages close together become one span', async () => {
  answers = [says(quote(HARD, 'We read the problem first', 'So the answer is \\boxed{3600}.'))];
  const few = await annotator({ share: 0.2 })(row, signal);
  expect(few.spans.map((span) => TEXT.slice(span.start, span.end))).toEqual([HARD]);
  expect(few.notes).toEqual(['2 passages left out beyond the wanted share']);
  const merged = await annotator({ share: 1, mergeGap: 100 })(row, signal);
  expect(merged.spans).toHaveLength(1);
});

test('a completions endpoint gets the same request as raw text', async () => {
  answers = [says(quote(HARD))];
  const { spans } = await modelAnnotator(new OpenAICompletionsModel(endpoint()))(row, signal);
  expect(spans).toHaveLength(1);
  expect(asked[0]).toMatchObject({ path: '/v1/completions', prompt: expect.stringContaining(TEXT) });
});

test('nothing is hard: no span, no further attempt', async () => {
  answers = [says(quote(''))];
  expect(await annotator()(row, signal)).toEqual({ spans: [], calls: 1, notes: [] });
});

test('failed requests, prose and foreign quotes are tried again, warmer each time', async () => {
  answers = [refuses, says('The hardest line is the second one.'), says(quote(HARD))];
  const { spans, calls } = await annotator()(row, signal);
  expect(spans).toHaveLength(1);
  expect(calls).toBe(3);
  expect(asked.map((one) => one.temperature)).toEqual([0, 0.3, 0.6]);
});

test('attempts are bounded and the last failure is named', async () => {
  answers = [says('prose'), says(quote('The moon is made of green cheese today')), refuses];
  await expect(annotator()(row, signal)).rejects.toThrow(
    /no annotation after 3 attempts: .*(413|prompt too long)/,
  );
  expect(asked).toHaveLength(3);
});

test('an abort ends the wait for a silent endpoint', async () => {
  answers = [() => undefined];
  const stop = new AbortController();
  const running = annotator()(row, stop.signal);
  setTimeout(() => stop.abort(), 50);
  await expect(running).rejects.toThrow();
  expect(asked).toHaveLength(1);
});
