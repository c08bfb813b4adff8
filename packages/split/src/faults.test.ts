// Every way in which a large endpoint can fail, against a real server that does it. In each the trace is complete, the
// person gets the small model's answer, and nothing outlasts its deadline.

import type { ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ANSWER, QUESTION, SPAN, smallModel } from '../test/pair.ts';
import { cleanups, server } from '../test/cleanups.ts';
import { cut, event, faultServer, finish, silence, status, stream } from '../test/fault-server.ts';
import type { Script } from '../test/fault-server.ts';
import { selfSigned } from '../test/self-signed.ts';
import { closeServer } from './bench/model-endpoint.ts';
import {
  ChatContinuationModel,
  OpenAICompletionsModel,
  auditTrace,
  endpointPool,
  solveToTrace,
} from './index.ts';
import type { EndpointOptions, SolveOptions, Trace } from './index.ts';

async function run(
  url: string,
  endpoint: Partial<EndpointOptions> = {},
  options: Partial<SolveOptions> = {},
  small = smallModel(),
): Promise<Trace> {
  cleanups.push(() => small.close());
  const large = new OpenAICompletionsModel({
    url,
    model: 'faulty',
    retries: 0,
    idleMs: 300,
    connectMs: 300,
    ...endpoint,
  });
  const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false, ...options });
  expect(trace.segments.map((s) => s.text).join('')).toBe(trace.text);
  expect(trace.text).not.toMatch(/<\/?bigmodel>|<\/?bigm/);
  expect(trace.totals.largeTokens).toBe(
    trace.segments.filter((s) => s.origin === 'large').reduce((n, s) => n + s.tokens, 0),
  );
  return trace;
}

/** The small model finished alone, and the trace says why. */
function carriedOn(trace: Trace, why: RegExp): void {
  expect(trace.stopReason).toBe('end');
  expect(trace.answer).not.toBeNull();
  const failed = trace.segments.find((s) => s.reason === 'endpoint-error');
  expect(failed?.detail).toMatch(why);
  expect(trace.notes.join('\n')).toMatch(why);
  expect(trace.notes.join('\n')).toMatch(/carries on alone/);
}

describe('an endpoint that cannot be used', () => {
  it('refuses the connection', async () => {
    const probe = createServer().listen(0);
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    carriedOn(await run(`http://127.0.0.1:${port}/v1`), /connection refused/);
  });

  it('has a name that does not resolve', async () => {
    carriedOn(await run('http://no-such-host.invalid/v1', { connectMs: 10_000 }), /host name not found/);
  });

  it('speaks no TLS', async () => {
    const { port } = await server(silence);
    carriedOn(await run(`https://127.0.0.1:${port}/v1`, { connectMs: 5000 }), /TLS failed/);
  });

  it.each([
    ['is its own authority', selfSigned(), /self.signed|SELF_SIGNED/i],
    ['is missing', {}, /TLS failed/],
  ])('has a certificate that %s', async (_, certificate, why) => {
    const server = createTlsServer(certificate, (_request, response) => response.end('never'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => closeServer(server));
    const { port } = server.address() as AddressInfo;
    const trace = await run(`https://localhost:${port}/v1`, { connectMs: 5000 });
    carriedOn(trace, /TLS failed/);
    carriedOn(trace, why);
  });

  it.each([
    [401, /check the API key \(HTTP 401\): status 401 on command/],
    [404, /refused the request \(HTTP 404\)/],
    [500, /server failed \(HTTP 500\)/],
    [503, /server failed \(HTTP 503\)/],
  ])('answers %i', async (code, why) => {
    carriedOn(await run((await server(status(code))).url), why);
  });

  it('never answers', async () => {
    carriedOn(await run((await server(silence)).url), /nothing arrived for 300 ms/);
  });

  it('wants a longer wait than anyone has', async () => {
    const endpoint = await server(status(429, { 'retry-after': '3600' }));
    carriedOn(await run(endpoint.url, { retries: 2 }), /too many requests \(HTTP 429\)/);
    expect(endpoint.bodies).toHaveLength(1);
  });
});

describe('an endpoint that recovers', () => {
  it.each([
    ['429 with Retry-After', status(429, { 'retry-after': '0' })],
    ['500', status(500)],
    ['a broken connection', (response: Parameters<Script>[0]): void => void response.destroy()],
  ])('is asked again after %s', async (_, fault) => {
    const endpoint = await server(fault, stream([SPAN, '\nThen, the']));
    const trace = await run(endpoint.url, { retries: 2 });
    expect(trace.text).toBe(ANSWER);
    expect(endpoint.bodies).toHaveLength(2);
    expect(endpoint.bodies[1]).toEqual(endpoint.bodies[0]);
  });
});

describe('an endpoint that breaks while it writes', () => {
  it('goes silent', async () => {
    carriedOn(await run((await server(stream(['1200+240'], silence))).url), /nothing arrived for 300 ms/);
  });

  it('keeps what was written before the connection broke', async () => {
    const trace = await run((await server(stream(['1200+', '240+'], cut))).url);
    carriedOn(trace, /connection was closed|ended in the middle/);
    expect(trace.segments.find((s) => s.origin === 'large')?.text).toBe('1200+240+');
  });

  it('ends the stream without saying that it has ended', async () => {
    carriedOn(
      await run((await server(stream(['1200+'], (response) => response.end()))).url),
      /ended in the middle/,
    );
  });

  it('sends what is not JSON', async () => {
    const bad = stream(['1200+'], (response) => response.end('data: {"choices": [{"text\n\n'));
    carriedOn(await run((await server(bad)).url), /an event is not JSON/);
  });

  it('reports an error inside the stream', async () => {
    const bad = stream(['1200+'], (response) =>
      response.end('data: {"error":{"message":"out of memory"}}\n\n'),
    );
    carriedOn(await run((await server(bad)).url), /out of memory/);
  });

  it('cuts the stream inside a UTF-8 character', async () => {
    const half = stream(['12'], (response) => {
      response.write(Buffer.from(event('é∞')).subarray(0, -20));
      const whole = Buffer.from('data: {"choices":[{"text":"∞"}]}\n\n');
      response.write(whole.subarray(0, whole.indexOf(0xe2) + 1));
      cut(response);
    });
    const trace = await run((await server(half)).url);
    expect(trace.stopReason).toBe('end');
    expect(trace.text).not.toContain('\uFFFD');
  });

  it('splits characters and events over packets and is read all the same', async () => {
    const bytes = Buffer.from(`${event('1200+240+210+42=1440+252=1692')}${event('.')}${event('\nThen 😀')}`);
    const slow: Script = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < bytes.length; i += 7) response.write(bytes.subarray(i, i + 7));
      finish(response);
    };
    const trace = await run((await server(slow)).url);
    expect(trace.text).toBe(ANSWER);
  });
});

describe('an endpoint whose events have another form', () => {
  const data = (text: string, finish: string | null = null): string =>
    JSON.stringify({ choices: [{ index: 0, text, finish_reason: finish }] });
  const pretty = (text: string): string =>
    JSON.stringify({ choices: [{ text }] }, null, 1)
      .split('\n')
      .map((line) => `data: ${line}`)
      .join('\n');
  it.each([
    ['lines that end in CR LF', `data: ${data(SPAN)}\r\n\r\ndata: ${data('', 'stop')}\r\n\r\n`],
    ['lines that end in CR', `data: ${data(SPAN)}\r\rdata: ${data('', 'stop')}\r\r`],
    ['comments and other fields', `: hi\nid: 1\nevent: message\nretry: 9\ndata: ${data(SPAN, 'stop')}\n\n`],
    ['data over several lines', `${pretty(SPAN)}\n\ndata: ${data('', 'stop')}\n\n`],
    ['a byte order mark', `\uFEFFdata: ${data(SPAN, 'stop')}\n\n`],
    ['no space behind the colon', `data:${data(SPAN, 'stop')}\n\n`],
    ['no [DONE]', `data: ${data(SPAN)}\n\ndata: ${data('', 'stop')}\n\n`],
    ['no blank line at the end', `data: ${data(SPAN)}\n\ndata: ${data('', 'stop')}`],
    ['only [DONE] at the end, without a blank line', `data: ${data(SPAN)}\n\ndata: [DONE]`],
    ['nothing in between', `data: ${data('')}\n\ndata: {"choices":[]}\n\ndata: ${data(SPAN, 'stop')}\n\n`],
  ])('%s', async (_, body) => {
    const bytes = Buffer.from(body);
    const { url } = await server((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let i = 0; i < bytes.length; i += 5) response.write(bytes.subarray(i, i + 5));
      response.end();
    });
    const trace = await run(url);
    expect(trace.text).toBe(ANSWER);
    expect(trace.notes).toEqual([]);
  });

  it('reports an error as an object of its own', async () => {
    const bad = stream(['1200+'], (response) =>
      response.end('data: {"object":"error","message":"out of slots","code":400}\n\n'),
    );
    carriedOn(await run((await server(bad)).url), /out of slots/);
  });
});

describe('an endpoint that does not know when to stop', () => {
  it('is stopped at the span limit', async () => {
    const endless: Script = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => response.write(event('9')), 2);
      response.once('close', () => clearInterval(timer));
    };
    const endpoint = await server(endless);
    const trace = await run(endpoint.url, {}, { budget: { maxSpanTokens: 20, maxSpans: 1 } });
    expect(trace.stopReason).toBe('end');
    const span = trace.segments.find((s) => s.origin === 'large')!;
    expect(span.reason).toBe('span-limit');
    expect(span.tokens).toBe(20);
    await expect.poll(() => endpoint.closedEarly).toBe(1);
  });

  it('is stopped at the deadline when it only pretends to be alive', async () => {
    const pings: Script = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const timer = setInterval(() => response.write(': still here\n\n'), 20);
      response.once('close', () => clearInterval(timer));
    };
    carriedOn(await run((await server(pings)).url, {}, { spanMs: 400 }), /longer than 400 ms/);
  });

  it('writes the tags itself: they end the span and are never shown', async () => {
    const pieces = ['1200+240+<big', 'model>210+42=1440+252=1692', '</big', 'model>', ' and more'];
    const trace = await run((await server(stream(pieces))).url);
    expect(trace.segments.find((s) => s.origin === 'large')?.text).toBe('1200+240+210+42=1440+252=1692');
    expect(trace.segments.find((s) => s.origin === 'large')?.reason).toBe('hand-back');
  });

  it('writes nothing at all: the small model goes on without asking again at once', async () => {
    const trace = await run((await server(stream([]))).url);
    expect(trace.stopReason).toBe('end');
    expect(trace.totals.largeTokens).toBe(0);
    expect(trace.answer).toBe('1480');
  });
});

describe('an endpoint that sends anything at all', () => {
  const field = fc.constantFrom<unknown>(null, 0, -1, 'x', '', [], {}, true, 1e99);
  const choice = fc.record(
    {
      text: fc.oneof(field, fc.constantFrom('1200+', '<big', 'model>', '</bigmodel>', '</', 'é😀', '\uD83D')),
      delta: field,
      logprobs: fc.oneof(field, fc.record({ tokens: field, token_logprobs: field, content: field })),
      token_ids: field,
      finish_reason: fc.oneof(field, fc.constantFrom('stop', 'length', 'content_filter', 'abort')),
    },
    { requiredKeys: [] },
  );
  const data = fc.record(
    {
      choices: fc.oneof(
        { weight: 4, arbitrary: fc.array(choice, { maxLength: 2 }) },
        { weight: 1, arbitrary: field },
      ),
      usage: fc.oneof(
        field,
        fc.record({ prompt_tokens: field, completion_tokens: field, prompt_tokens_details: field }),
      ),
      error: fc.constantFrom(undefined, undefined, null, 'no', { message: 7 }),
      timings: field,
    },
    { requiredKeys: ['choices'] },
  );
  const frame = fc.oneof(
    { weight: 6, arbitrary: data.map((event) => `data: ${JSON.stringify(event)}\n\n`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'data: [DONE]\n\n',
        ': hm\n\n',
        'data: nul',
        '\r\n',
        'data: {"a"\n\n',
        '{',
        '<',
      ),
    },
  );

  it('leaves a complete trace without a tag or a wrong sum, and the small model’s answer', async () => {
    const ends = fc.constantFrom<(response: ServerResponse) => void>(finish, cut, (response) =>
      response.end(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 8 }), ends, fc.boolean(), async (frames, end, chat) => {
        const endpoint = await faultServer((response) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          for (const one of frames) response.write(one);
          end(response);
        });
        const small = smallModel();
        const options = { url: endpoint.url, model: 'm', retries: 0, idleMs: 300, connectMs: 300 };
        const large = chat
          ? new ChatContinuationModel(options, 'continue')
          : new OpenAICompletionsModel(options);
        try {
          const trace = await solveToTrace(QUESTION, {
            small,
            large,
            prices: { input: 1, output: 2 },
            budget: { maxSpanTokens: 20, maxSpans: 3, maxTokens: 400 },
          });
          expect(auditTrace(trace)).toEqual([]);
          expect(trace.text).not.toMatch(/<\/?bigmodel>/);
          expect(trace.totals.cost).toBeGreaterThanOrEqual(0);
          expect(Number.isFinite(trace.totals.cost)).toBe(true);
          expect(trace.stopReason).toBe('end');
          expect(JSON.parse(JSON.stringify(trace))).toEqual(trace);
        } finally {
          await Promise.all([endpoint.close(), small.close()]);
        }
      }),
      { numRuns: 80 },
    );
  });
});

describe('more than one endpoint', () => {
  it('goes on at the second from where the first broke off', async () => {
    const first = await server(stream(['1200+240+'], cut));
    const second = await server(stream(['210+42=1440+252=1692.', '\nThen']));
    const small = smallModel();
    cleanups.push(() => small.close());
    const member = (url: string): { model: OpenAICompletionsModel; concurrency: number } => ({
      model: new OpenAICompletionsModel({ url, model: 'm', retries: 0 }),
      concurrency: 1,
    });
    const large = endpointPool([member(first.url), member(second.url)]);
    const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false });
    expect(trace.text).toBe(ANSWER);
    expect(String(second.bodies[0]!.prompt).endsWith('47*36=1200+240+')).toBe(true);
    expect(trace.notes.join()).toMatch(/went on with the next endpoint/);
    expect(trace.segments.map(({ model }) => model)).toEqual([undefined, second.url, undefined]);
  });
});

describe('stopping', () => {
  it('closes the connection when the small model takes over', async () => {
    const open = stream([SPAN, '\nThen, the pens left', ': 1692'], silence);
    const endpoint = await server(open);
    // Slow enough that the whole stream has arrived when the small model decides.
    const slow = smallModel({ latency: { pass: 15, token: 0 } });
    const trace = await run(endpoint.url, { idleMs: 20_000 }, {}, slow);
    expect(trace.text).toBe(ANSWER);
    const span = trace.segments.find((s) => s.origin === 'large')!;
    expect(span.discardedTokens).toBe(2);
    expect(span.discardedText).toBe('\nThen, the pens left: 1692');
    await expect.poll(() => endpoint.closedEarly).toBe(1);
  });

  it('ends at the wall-clock budget, with the trace so far', async () => {
    const trace = await run((await server(silence)).url, { connectMs: 60_000 }, { budget: { maxMs: 250 } });
    expect(trace.stopReason).toBe('budget');
    expect(trace.segments.at(-1)!.reason).toBe('budget');
    expect(trace.totals.elapsedMs).toBeLessThan(10_000);
  });
});
