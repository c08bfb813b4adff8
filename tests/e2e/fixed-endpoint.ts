// A large model that says what a test wants said, over real HTTP: the only way to see what the page makes of hostile or
// endless text. It speaks as much of OpenAI's completions as the page asks for.

import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FixedEndpoint {
  url: string;
  /** Bodies of the completion requests, oldest first. */
  bodies: { prompt: string; model: string }[];
  close(): Promise<void>;
}

/** Streams `pieces` one after the other; `everyMs` apart. */
export async function fixedEndpoint(pieces: Iterable<string>, everyMs = 0): Promise<FixedEndpoint> {
  const bodies: FixedEndpoint['bodies'] = [];
  const server = http.createServer((request, response) => {
    response.setHeader('access-control-allow-origin', request.headers.origin ?? '*');
    response.setHeader('access-control-allow-headers', 'content-type, authorization');
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    if (request.method === 'GET') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ object: 'list', data: [{ id: 'fixed', object: 'model' }] }));
      return;
    }
    void complete(request, response, pieces, everyMs, bodies);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    bodies,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

/** One that writes lines "step 0", "step 1" ... for 40 seconds. */
export function endlessEndpoint(): Promise<FixedEndpoint> {
  const pieces = Array.from({ length: 2000 }, (_, i) => `step ${i}\n`);
  return fixedEndpoint(pieces, 20);
}

async function complete(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  pieces: Iterable<string>,
  everyMs: number,
  bodies: FixedEndpoint['bodies'],
): Promise<void> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  const asked = JSON.parse(body) as FixedEndpoint['bodies'][number] & { stream?: boolean };
  bodies.push(asked);
  if (asked.stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' });
    const choice = { index: 0, text: [...pieces].join(''), finish_reason: 'stop', logprobs: null };
    response.end(JSON.stringify({ object: 'text_completion', choices: [choice] }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (choice: object): void => {
    response.write(
      `data: ${JSON.stringify({ object: 'text_completion', choices: [{ index: 0, ...choice }] })}\n\n`,
    );
  };
  for (const text of pieces) {
    if (response.destroyed) return;
    send({ text, finish_reason: null });
    if (everyMs > 0) await new Promise((later) => setTimeout(later, everyMs));
  }
  send({ text: '', finish_reason: 'stop' });
  response.end('data: [DONE]\n\n');
}
