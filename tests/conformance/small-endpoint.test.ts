// A small model at an address, asked through OpenAI's completions API alone: `baton serve` as the endpoint, known only by its
// public fields, against the same model in this process; and servers that tell less or misbehave.
import { execFile } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LocalModel } from '@baton/runtime';
import { openLocal } from '@baton/runtime/node';
import type { TextModel } from '@baton/runtime/text-model';
import { auditTrace, openSmallEndpoint, solveToTrace } from '@baton/split';
import type { SolveOptions, Trace } from '@baton/split';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { faultServer, finish, json, silence, status } from '../../packages/split/test/fault-server.ts';
import type { FaultServer, Script } from '../../packages/split/test/fault-server.ts';
import { serve, type Served } from '../support/serve.ts';

const QUESTION = 'Tom has 23 boxes with 47 apples each. He eats 12. How many are left?';

let server: Served;
let here: LocalModel;
let large: LocalModel;
let there: TextModel;

beforeAll(async () => {
  server = await serve(['--no-pairing', '--target', 'ort-cpu'], 'demo-small');
  here = await openLocal('demo-small', { target: 'ort-cpu' });
  large = await openLocal('demo-large', { target: 'ort-cpu' });
  there = await openSmallEndpoint({ url: server.url });
});
afterAll(async () => {
  await here?.close();
  await large?.close();
  await server?.stop();
});

const faulty: FaultServer[] = [];
afterEach(async () => {
  await Promise.all(faulty.splice(0).map((one) => one.close()));
});

async function misbehaving(...scripts: Script[]): Promise<FaultServer> {
  const one = await faultServer(...scripts);
  faulty.push(one);
  return one;
}

function run(small: TextModel, more: Partial<SolveOptions> = {}): Promise<Trace> {
  return solveToTrace(QUESTION, { small, large, keepWarm: false, ...more });
}

const essence = (trace: Trace): unknown =>
  trace.segments.map(({ origin, text, reason }) => [origin, text, reason]);

describe('baton serve, by its completions API alone', () => {
  it('says the same of a text as a session in this process', async () => {
    const text = `<|user|>\n${QUESTION}\n<|assistant|>\n<think>\nFirst, é 😀 23*47=`;
    const from = text.indexOf('First');
    const rows = async (model: TextModel): Promise<unknown[]> => {
      const session = await model.openSession!();
      const watch = await session.encode('<bigmodel>');
      expect(watch).toHaveLength(1);
      await session.sync(text.slice(0, from));
      const { watched } = await session.sync(text, { watch });
      await session.close();
      return watched.map(({ textLength, logprobs, argmax, argmaxLogprob }) => [
        textLength,
        argmax === watch[0],
        argmaxLogprob.toFixed(3),
        // What is not among the likeliest counts as impossible.
        Number.isFinite(logprobs[0]!) ? logprobs[0]!.toFixed(3) : null,
      ]);
    };
    const local = await rows(here);
    const remote = await rows(there);
    expect(remote.map((row) => (row as unknown[]).slice(0, 3))).toEqual(
      local.map((row) => (row as unknown[]).slice(0, 3)),
    );
    for (const [i, row] of remote.entries()) {
      const told = (row as unknown[])[3];
      if (told !== null) expect(told).toBe((local[i] as unknown[])[3]);
    }
  });

  it.each(['learned', 'small', 'threshold:0.3', 'random:0.3', 'cues', 'call', 'entropy:1'])(
    'comes to the same trace as the model here: %s',
    async (policy) => {
      const sampling = { seed: 7 };
      const remote = await run(there, { policy, sampling });
      expect(auditTrace(remote)).toEqual([]);
      expect(essence(remote)).toEqual(essence(await run(here, { policy, sampling })));
    },
  );

  it('keeps a rejected tag from being written again', async () => {
    const trace = await run(there, { budget: { maxSpans: 0 } });
    expect(trace.text).not.toContain('bigmodel');
    expect(essence(trace)).toEqual(essence(await run(here, { budget: { maxSpans: 0 } })));
  });

  it('finds tags of several tokens as the model here does', async () => {
    // Words that demo-small begins its sentences with stand in for the tags.
    const tags = { open: 'Then, the', close: '\n</think>' };
    const remote = await run(there, { tags });
    expect(remote.totals.offloadSpans).toBeGreaterThan(0);
    expect(essence(remote)).toEqual(essence(await run(here, { tags })));
  });

  it('the trace says what is known of the tag’s probability', async () => {
    const trace = await run(there, { policy: 'learned' });
    expect(trace.totals.offloadSpans).toBeGreaterThan(0);
    expect(trace.notes.join('\n')).toMatch(/tells the \d+ likeliest tokens of a place/);
    expect(trace.models.small).toEqual({ id: 'demo-small', location: `${server.url}/v1` });
  });

  it('decides over several pieces of one span without writing a token', async () => {
    expect((await run(there)).totals.probeTokens).toBe(0);
  });
});

describe('a server that tells less', () => {
  /** `baton serve` behind a gate that takes fields away, as plainer servers do. */
  const behind =
    (refuses: (body: Record<string, unknown>) => boolean): Script =>
    (response, body, request) => {
      if (refuses(body)) return json(response, 400, { error: { message: 'not supported here' } });
      void fetch(`${server.url}${request.url}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }).then(async (answer) => {
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
        response.end(await answer.text());
      });
    };

  const LISTED = { data: [{ id: 'demo-small', owned_by: 'baton' }] };

  it('baton solve relays over it, and writes what it writes with the model here', async () => {
    const gate = await misbehaving(behind(() => false));
    gate.models = LISTED;
    const baton = fileURLToPath(new URL('../../apps/cli/bin/baton.mjs', import.meta.url));
    const solved = async (small: string): Promise<Trace> => {
      const args = ['solve', QUESTION, '--small', small, '--large', 'demo-large', '--no-keep-warm', '--json'];
      const { stdout, stderr } = await promisify(execFile)(
        process.execPath,
        [baton, ...args, '--target', 'ort-cpu'],
        { env: { ...process.env, BATON_CACHE: path.join(os.tmpdir(), 'baton-test-cache') } },
      );
      expect(stderr).toBe('');
      return JSON.parse(stdout) as Trace;
    };
    const remote = await solved(gate.url);
    expect(auditTrace(remote)).toEqual([]);
    expect(remote.models.small).toEqual({ id: 'demo-small', location: gate.url });
    expect(remote.totals.largeTokens).toBeGreaterThan(0);
    expect(essence(remote)).toEqual(essence(await solved('demo-small')));
    // Asked through the completions API alone.
    expect(gate.bodies.every((body) => 'prompt' in body || 'messages' in body)).toBe(true);
  });

  /** The gate as vLLM: messages become tokens at /tokenize and text at /detokenize, both at the server's root. */
  const asVllm: Script = (response, body, request) => {
    const path = request.url!;
    const ask = async (route: string, question: object): Promise<Record<string, unknown>> => {
      const answer = await fetch(`${server.url}/v1/${route}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(question),
      });
      return (await answer.json()) as Record<string, unknown>;
    };
    if (path === '/tokenize' && body.model === 'demo-small')
      return void ask('render', { messages: body.messages, addGenerationPrompt: body.add_generation_prompt })
        .then(({ text }) => ask('tokenize', { text }))
        .then(({ ids }) =>
          json(response, 200, { tokens: ids, count: (ids as []).length, max_model_len: 2048 }),
        );
    if (path === '/detokenize')
      return json(response, 200, {
        prompt: (body.tokens as number[]).map((id) => here.tokenizer.tokenText(id)).join(''),
      });
    if (path !== '/v1/completions') return json(response, 404, { detail: 'Not Found' });
    if (body.stream !== true && body.stream_options !== undefined)
      return json(response, 400, { error: { message: 'Stream options need stream' } });
    if (body.add_special_tokens !== false || body.skip_special_tokens !== false)
      return json(response, 400, { error: { message: 'special tokens' } });
    const { prompt, max_tokens, temperature, echo, logprobs, stream, stream_options } = body;
    const known = { prompt, max_tokens, temperature, echo, logprobs, stream, stream_options };
    behind(() => false)(response, known, request);
  };

  it('as vLLM: the question in its own template, and the trace of the model here', async () => {
    const gate = await misbehaving(asVllm);
    gate.models = { data: [{ id: 'demo-small', owned_by: 'vllm', max_model_len: 2048 }] };
    const remote = await run(await openSmallEndpoint({ url: gate.url }));
    expect(auditTrace(remote)).toEqual([]);
    expect(remote.totals.largeTokens).toBeGreaterThan(0);
    const local = await run(here);
    expect(remote.prompt).toBe(local.prompt);
    expect(essence(remote)).toEqual(essence(local));
  });

  it('as llama.cpp: /apply-template, log-probabilities in the chat form, no echo', async () => {
    const inChatForm = (choice: Record<string, unknown>): Record<string, unknown> => {
      const {
        tokens = [],
        token_logprobs = [],
        top_logprobs = [],
      } = (choice.logprobs ?? {}) as {
        tokens?: string[];
        token_logprobs?: number[];
        top_logprobs?: Record<string, number>[];
      };
      const content = tokens.map((token, i) => ({
        id: 1,
        token,
        bytes: [...Buffer.from(token)],
        logprob: token_logprobs[i],
        top_logprobs: Object.entries(top_logprobs[i] ?? {}).map(([text, logprob]) => ({
          id: 1,
          token: text,
          logprob,
        })),
      }));
      return { ...choice, logprobs: content.length > 0 ? { content } : null };
    };
    const gate = await misbehaving((response, body, request) => {
      const post = (route: string, asked: object): Promise<Response> =>
        fetch(`${server.url}/v1/${route}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(asked),
        });
      if (request.url === '/apply-template')
        return void post('render', {
          messages: body.messages,
          addGenerationPrompt: body.add_generation_prompt,
        })
          .then((answer) => answer.json())
          .then((answer) => json(response, 200, { prompt: (answer as { text: string }).text }));
      if (request.url !== '/v1/completions')
        return json(response, 404, { error: { message: 'File Not Found' } });
      if (body.echo === true)
        return json(response, 500, { error: { code: 500, message: 'Only no echo is supported' } });
      if (!(body.preserved_tokens as string[]).includes('<bigmodel>'))
        return json(response, 400, { error: { message: 'the tag would not be shown' } });
      const { prompt, max_tokens, temperature, logprobs, stream } = body;
      void post('completions', { prompt, max_tokens, temperature, logprobs, stream }).then(async (answer) => {
        const text = await answer.text();
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
        response.end(
          text.replace(/\{.*"choices".*\}/g, (event) => {
            const { choices, ...rest } = JSON.parse(event) as { choices: Record<string, unknown>[] };
            return JSON.stringify({ ...rest, choices: choices.map(inChatForm) });
          }),
        );
      });
    });
    gate.models = { data: [{ id: 'demo-small', owned_by: 'llamacpp' }] };
    const trace = await run(await openSmallEndpoint({ url: gate.url, retries: 0 }));
    expect(auditTrace(trace)).toEqual([]);
    expect(trace.stopReason).toBe('end');
    expect(trace.prompt).toBe((await run(here)).prompt);
    expect(trace.totals.largeTokens).toBeGreaterThan(0);
    expect(trace.notes.join('\n')).not.toMatch(/template is not known/);
  });

  it('without echo: spans end where pieces end, and the trace says so', async () => {
    const gate = await misbehaving(behind((body) => body.echo === true));
    gate.models = LISTED;
    const trace = await run(await openSmallEndpoint({ url: gate.url }));
    expect(auditTrace(trace)).toEqual([]);
    expect(trace.stopReason).toBe('end');
    expect(trace.segments.map((s) => s.origin)).toContain('large');
    expect(trace.segments.some((s) => s.reason === 'hand-back')).toBe(true);
    expect(trace.totals.probeTokens).toBeGreaterThan(0);
    expect(trace.notes.join('\n')).toMatch(/no log-probabilities of a prompt \(echo\)/);
  });

  it('without a template: the question is asked as plain text, and the trace says so', async () => {
    const gate = await misbehaving(behind(() => false));
    gate.models = { data: [{ id: 'demo-small' }] };
    const trace = await run(await openSmallEndpoint({ url: gate.url }), { budget: { maxTokens: 20 } });
    expect(trace.prompt).toMatch(/^Question: /);
    expect(trace.notes.join('\n')).toMatch(/chat template is not known/);
  });

  it('without log-probabilities: refused with one line that names it', async () => {
    const gate = await misbehaving(behind((body) => body.logprobs !== undefined));
    gate.models = LISTED;
    await expect(openSmallEndpoint({ url: gate.url })).rejects.toThrow(
      /cannot be the small model: it gives no log-probabilities \(.*not supported here/,
    );
  });

  it('with chat only: refused', async () => {
    const { url } = await misbehaving(finish);
    await expect(openSmallEndpoint({ url, preset: 'mistral', model: 'm' })).rejects.toThrow(
      'takes no raw text',
    );
  });
});

describe('a server that misbehaves', () => {
  it.each<[string, Script, RegExp]>([
    ['fails', status(500), /server failed \(HTTP 500\)/],
    ['refuses the key', status(401), /check the API key/],
    ['sends nonsense', (response) => void response.end('data: {{'), /not JSON/],
    ['is a web page', (response) => void response.end('<html></html>'), /not JSON/],
  ])('one that %s when it is opened: one line', async (_, script, why) => {
    const { url } = await misbehaving(script);
    await expect(openSmallEndpoint({ url, retries: 0 })).rejects.toThrow(why);
  });

  it.each<[string, Script]>([
    ['fails', status(500)],
    ['falls silent', silence],
    ['sends nonsense', (response) => void response.end('data: {{\n\n')],
    [
      'says that the prompt is too long',
      (response) =>
        json(response, 400, { error: { message: 'This model’s maximum context length is 64 tokens' } }),
    ],
  ])('one that %s in the middle: a complete trace that says why', async (_, script) => {
    const open: Script = (response) =>
      json(response, 200, {
        choices: [
          {
            text: '',
            finish_reason: 'length',
            logprobs: { tokens: ['One', ','], token_logprobs: [null, -1], top_logprobs: [null, { ',': -1 }] },
          },
        ],
      });
    const { url } = await misbehaving(open, script);
    const small = await openSmallEndpoint({ url, retries: 0, idleMs: 300, connectMs: 300 });
    const trace = await run(small, { policy: 'small' });
    expect(auditTrace(trace)).toEqual([]);
    expect(['error', 'context']).toContain(trace.stopReason);
    expect(trace.notes.join('\n')).toMatch(/small model stopped: |stopped: /);
  });
});
