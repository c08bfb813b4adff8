// A real HTTP server that misbehaves on command: each request gets the next script of its list (the last one repeats).

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { closeServer } from '../src/bench/model-endpoint.ts';

export type Script = (
  response: ServerResponse,
  body: Record<string, unknown>,
  request: IncomingMessage,
) => void;

export interface FaultServer {
  url: string;
  port: number;
  /** What a GET answers: the list of models. */
  models: unknown;
  /** Bodies of the requests so far. */
  bodies: Record<string, unknown>[];
  /** Connections that the client closed before the answer was complete. */
  closedEarly: number;
  close(): Promise<void>;
}

export async function faultServer(...scripts: Script[]): Promise<FaultServer> {
  let turn = 0;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const text = Buffer.concat(parts).toString();
      const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
      if (request.method === 'GET') return void json(response, 200, self.models);
      self.bodies.push(body);
      response.once('close', () => {
        if (!response.writableEnded) self.closedEarly++;
      });
      scripts[Math.min(turn++, scripts.length - 1)]!(response, body, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const self: FaultServer = {
    url: `http://127.0.0.1:${port}/v1`,
    port,
    models: { data: [{ id: 'faulty' }] },
    bodies: [],
    closedEarly: 0,
    close: () => closeServer(server),
  };
  return self;
}

export function json(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** A status with OpenAI's error body. */
export const status =
  (code: number, headers: Record<string, string> = {}): Script =>
  (response) =>
    json(response, code, { error: { message: `status ${code} on command` } }, headers);

export const event = (text: string, finish: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, text, finish_reason: finish }] })}\n\n`;

export const USAGE = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 100, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 60 } } })}\n\n`;

/** Streams the pieces as events, then whatever `end` does. */
export const stream =
  (pieces: readonly string[], end: (response: ServerResponse) => void = finish): Script =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) response.write(event(piece));
    end(response);
  };

export const finish = (response: ServerResponse): void => {
  response.end(`${event('', 'stop')}${USAGE}data: [DONE]\n\n`);
};

export const cut = (response: ServerResponse): void => {
  // Let what was written arrive, then break the connection.
  setTimeout(() => response.destroy(), 30);
};

export const silence = (): void => undefined;
