// A TextModel behind POST /v1/completions on the loopback interface, with network latency added: what the benchmark and
// the tests of the relay talk to. `baton serve` is the endpoint for people; this one only measures.

import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import type { GenerateOptions, TextChunk, TextModel } from '@baton/runtime/text-model';

import { Channel } from '../channel.ts';
import { readAlong } from '../endpoint/read-along.ts';
import { READ_AHEAD, READS_ALONG } from '../endpoint/reads-along-header.ts';

export interface ModelEndpoint {
  url: string;
  /** Requests so far, newest last. */
  requests: { prompt: string; maxTokens: number | null }[];
  /** Changes the added round trip, in milliseconds. */
  setLatency(ms: number): void;
  /** Lets tokens come no faster than this, in milliseconds each: the pace of a larger model. Default 0. */
  setPace(ms: number): void;
  close(): Promise<void>;
}

/** Node's own limit for a request to be complete is five minutes. */
const READ_WITHIN_S = 240;

interface Body {
  prompt: string;
  max_tokens?: number;
  temperature?: number;
  seed?: number;
  stop?: string[];
  stream?: boolean;
  logprobs?: number;
}

/** Serves `model`. Half of the latency is spent on the way in, half on the way out; chunks keep their distance. */
export async function serveModel(model: TextModel, latencyMs = 0): Promise<ModelEndpoint> {
  let latency = latencyMs;
  let pace = 0;
  const requests: ModelEndpoint['requests'] = [];
  const server = createServer((request, response) => {
    void answer(model, request, response, () => ({ latency, pace }), requests).catch(() =>
      response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    setLatency: (ms) => (latency = ms),
    setPace: (ms) => (pace = ms),
    close: () => closeServer(server),
  };
}

export async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

async function answer(
  model: TextModel,
  request: IncomingMessage,
  response: ServerResponse,
  injected: () => { latency: number; pace: number },
  requests: ModelEndpoint['requests'],
): Promise<void> {
  if (request.url === '/v1/models')
    return json(response, { object: 'list', data: [{ id: model.id, object: 'model' }] });
  if (request.url !== '/v1/completions') return json(response, { error: { message: 'not found' } }, 404);
  const { latency, pace } = injected();
  const half = latency / 2;
  const control = new AbortController();
  response.once('close', () => control.abort());
  const { signal } = control;
  const read = async (prompt: string): Promise<void> => {
    for await (const _ of model.generate(prompt, { maxTokens: 0, signal }));
  };
  // A body whose length is known is sent all at once.
  const growing = request.headers['content-length'] === undefined;
  const came = arriving(request, half);
  const sent = growing ? await readAlong(came, read) : { text: await text(came), read: 0 };
  const body = JSON.parse(sent.text) as Body;
  requests.push({ prompt: body.prompt, maxTokens: body.max_tokens ?? null });
  const generation = paced(model.generate(body.prompt, optionsOf(body, signal)), pace);
  if (body.stream !== true) return whole(response, model.id, generation, half);
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    [READS_ALONG]: READ_WITHIN_S,
    [READ_AHEAD]: sent.read,
  });
  const send = delayed(response, half);
  for await (const chunk of generation) send(`data: ${JSON.stringify(eventOf(chunk, model.id))}\n\n`);
  send('data: [DONE]\n\n', true);
}

/** Pieces of the body, each `ms` behind its arrival. */
async function* arriving(request: IncomingMessage, ms: number): AsyncGenerator<Uint8Array> {
  const pieces = new Channel<Uint8Array>();
  const later = (what: () => void): void => void (ms > 0 ? setTimeout(what, ms) : what());
  request.on('data', (piece: Uint8Array) => later(() => pieces.push(piece)));
  request.once('end', () => later(() => pieces.close()));
  request.once('error', (error) => pieces.close(error));
  yield* pieces;
}

/** Chunks with text or tokens, each at least `ms` behind the one before it. */
async function* paced(chunks: AsyncIterable<TextChunk>, ms: number): AsyncGenerator<TextChunk> {
  let next = 0;
  for await (const chunk of chunks) {
    const wait = next - performance.now();
    if (ms > 0 && wait > 0 && chunk.tokenIds.length > 0)
      await new Promise((resolve) => setTimeout(resolve, wait));
    if (chunk.tokenIds.length > 0) next = Math.max(next, performance.now() - ms) + ms;
    yield chunk;
  }
}

function optionsOf(body: Body, signal: AbortSignal): GenerateOptions {
  return {
    ...(body.max_tokens === undefined ? {} : { maxTokens: body.max_tokens }),
    ...(body.stop ? { stop: body.stop } : {}),
    ...(body.logprobs === undefined ? {} : { topLogprobs: body.logprobs }),
    sampling: {
      temperature: body.temperature ?? 0,
      ...(body.seed === undefined ? {} : { seed: body.seed }),
    },
    signal,
  };
}

async function whole(
  response: ServerResponse,
  id: string,
  generation: AsyncIterable<TextChunk>,
  half: number,
): Promise<void> {
  let text = '';
  let last: TextChunk | null = null;
  for await (const chunk of generation) {
    text += chunk.text;
    last = chunk;
  }
  if (half > 0) await new Promise((resolve) => setTimeout(resolve, half));
  json(response, {
    ...eventOf(last ?? { text: '', tokenIds: [] }, id),
    choices: [{ index: 0, text, finish_reason: 'stop' }],
  });
}

function eventOf(chunk: TextChunk, model: string): Record<string, unknown> {
  const { usage, logprobs } = chunk;
  return {
    id: 'cmpl-1',
    object: 'text_completion',
    model,
    choices: [
      {
        index: 0,
        text: chunk.text,
        token_ids: chunk.tokenIds,
        logprobs: logprobs
          ? { tokens: logprobs.map((l) => l.text), token_logprobs: logprobs.map((l) => l.logprob) }
          : null,
        finish_reason:
          chunk.finishReason === undefined ? null : chunk.finishReason === 'stop' ? 'stop' : 'length',
      },
    ],
    ...(usage
      ? {
          usage: {
            prompt_tokens: usage.promptTokens,
            completion_tokens: usage.completionTokens,
            prompt_tokens_details: { cached_tokens: usage.cachedTokens ?? 0 },
          },
        }
      : {}),
  };
}

/** Writes in order, each `ms` after it was given. */
function delayed(response: ServerResponse, ms: number): (text: string, end?: boolean) => void {
  const write = (text: string, end: boolean): void => {
    if (response.destroyed) return;
    response.write(text);
    if (end) response.end();
  };
  return (text, end = false) => {
    if (ms <= 0) write(text, end);
    else setTimeout(() => write(text, end), ms);
  };
}

function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json', [READS_ALONG]: READ_WITHIN_S });
  response.end(JSON.stringify(value));
}
