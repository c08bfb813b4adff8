// Servers that speak as the eight known kinds do: their paths, their fields, their refusals, the form of their events. Each
// continues a text that it knows; what a kind would not continue it answers from the beginning, as a new turn.

import type { IncomingMessage, ServerResponse } from 'node:http';

import { ANSWER, QUESTION } from './pair.ts';
import { faultServer, json } from './fault-server.ts';
import type { FaultServer } from './fault-server.ts';

export interface Dialect {
  /** Preset that belongs to it. */
  name: string;
  /** The path of its API on the server's address. */
  folder: string;
  apiKey?: string;
  models?: unknown;
  /** Answers a POST to `path` (without the folder). */
  answer(path: string, body: Body, response: ServerResponse, request: IncomingMessage): void;
}

type Body = Record<string, unknown>;
interface Message {
  role: string;
  content: string;
  prefix?: boolean;
  reasoning_content?: string;
}

const DAYS = 'Monday, Tuesday, Wednesday, Thursday,';
/** Prompt tokens that every server reports, and how many of them were cached. */
export const REPORTED = { promptTokens: 90, cachedTokens: 64 };

/** Pieces of what follows `text`, four characters each; of a new turn where the text is not known. */
export function continuation(text: string, limit: number): string[] {
  const tail = text.slice(-10);
  const at = ANSWER.indexOf(tail);
  const rest = text.endsWith(DAYS)
    ? ' Friday'
    : at >= 0
      ? ANSWER.slice(at + tail.length)
      : 'Sure! The working days are these: ...';
  return (rest.match(/[^]{1,4}/g) ?? []).slice(0, limit);
}

const limitOf = (body: Body): number => Number(body.max_tokens ?? 1000);

function open(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
}

function send(response: ServerResponse, event: unknown): void {
  response.write(`data: ${JSON.stringify(event)}\n\n`);
}

function done(response: ServerResponse): void {
  response.end('data: [DONE]\n\n');
}

function notFound(response: ServerResponse): void {
  json(response, 404, { detail: 'Not Found' });
}

/** The text that a chat request's last message holds where the server continues it; null for a new turn. */
function partial(body: Body, continues: (last: Message) => boolean): string | null {
  const last = (body.messages as Message[]).at(-1)!;
  return last.role === 'assistant' && continues(last) ? last.content : null;
}

/** A chat template that is not the small model's; a server with one continues nothing that does not begin with it. */
const templated = (begin: string, question: string): string =>
  `${begin}<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`;
const OWN = templated('', QUESTION);

/** What follows a raw prompt in the server's own template; the probe's has none. */
function templatedContinuation(body: Body, begin = ''): string[] {
  const prompt = String(body.prompt);
  const known = prompt.startsWith(`${begin}${OWN}<think>\n`) || prompt.endsWith(DAYS);
  return continuation(known ? prompt : 'a new turn', limitOf(body));
}

/** A begin-of-text token as text: it stands in the template and must not come in front once more. */
const BEGIN = '<s>';

/**
 * vllm/entrypoints/openai/completion/protocol.py: running usage, token ids when asked for, prompt_tokens_details with the flag,
 * `stream_options` only with `stream`, a begin-of-text token of its own unless it is asked not to; its root has /tokenize and
 * /detokenize (vllm/entrypoints/serve/tokenize).
 */
const vllm: Dialect = {
  name: 'vllm',
  folder: '/v1',
  models: { object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'vllm', max_model_len: 32768 }] },
  answer(path, body, response) {
    if (path === '/tokenize') {
      if (body.messages === undefined || body.model !== 'm') return notFound(response);
      const [message] = body.messages as Message[];
      const tokens = Array.from(templated(BEGIN, message!.content), (c) => c.codePointAt(0)!);
      return json(response, 200, { count: tokens.length, max_model_len: 32768, tokens, token_strs: null });
    }
    if (path === '/detokenize')
      return json(response, 200, { prompt: String.fromCodePoint(...(body.tokens as number[])) });
    if (path !== '/completions') return notFound(response);
    if (body.stream_options !== undefined && body.stream !== true)
      return json(response, 400, {
        error: { message: 'Stream options can only be defined when `stream=True`.', code: 400 },
      });
    const options = (body.stream_options ?? {}) as Body;
    const usage = (tokens: number): Body => ({
      prompt_tokens: REPORTED.promptTokens,
      total_tokens: REPORTED.promptTokens + tokens,
      completion_tokens: tokens,
      prompt_tokens_details: { cached_tokens: REPORTED.cachedTokens },
    });
    const event = (choice: Body | null, tokens: number, withUsage: boolean): Body => ({
      id: 'cmpl-1',
      object: 'text_completion',
      created: 1,
      model: 'm',
      choices: choice ? [{ index: 0, stop_reason: null, finish_reason: null, ...choice }] : [],
      ...(withUsage ? { usage: usage(tokens) } : {}),
    });
    open(response);
    let tokens = 0;
    const once = body.add_special_tokens === false ? BEGIN : 'twice';
    for (const text of templatedContinuation(body, once)) {
      const logprobs =
        body.logprobs === undefined
          ? null
          : { text_offset: [0], token_logprobs: [-0.01], tokens: [text], top_logprobs: [{ [text]: -0.01 }] };
      const ids = body.return_token_ids === true ? { token_ids: [++tokens] } : (tokens++, {});
      send(response, event({ text, logprobs, ...ids }, tokens, options.continuous_usage_stats === true));
    }
    send(response, event({ text: '', logprobs: null, finish_reason: 'stop' }, tokens, false));
    if (options.include_usage === true) send(response, event(null, tokens, true));
    done(response);
  },
};

/** A server's tokenizer, simplified: characters, and the begin-of-text token as one. */
const BEGIN_ID = 0x10ffff;
const idsOf = (text: string): number[] =>
  text
    .split(BEGIN)
    .flatMap((part, i) => [...(i > 0 ? [BEGIN_ID] : []), ...Array.from(part, (c) => c.codePointAt(0)!)]);
const textOf = (ids: number[], special: boolean): string =>
  ids.map((id) => (id === BEGIN_ID ? (special ? BEGIN : '') : String.fromCodePoint(id))).join('');

/**
 * SGLang: an empty first event, `matched_stop`, cached tokens with --enable-cache-report; /v1/tokenize takes a prompt or messages and
 * /v1/detokenize leaves special tokens out unless asked (srt/entrypoints/openai/serving_tokenize.py); every raw prompt gets a begin-of-text
 * token.
 */
const sglang: Dialect = {
  name: 'sglang',
  folder: '/v1',
  models: { object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'sglang', root: 'm' }] },
  answer(path, body, response) {
    if (path === '/tokenize') {
      const [message] = (body.messages ?? []) as Message[];
      if (!message === (body.prompt === undefined))
        return json(response, 400, { object: 'error', message: "Exactly one of 'prompt' or 'messages'" });
      const text = BEGIN + (message ? templated('', message.content) : String(body.prompt));
      return json(response, 200, { tokens: idsOf(text), count: text.length, max_model_len: 32768 });
    }
    if (path === '/detokenize')
      return json(response, 200, {
        text: textOf(body.tokens as number[], body.skip_special_tokens === false),
      });
    if (path !== '/completions') return notFound(response);
    if (Number(body.max_tokens) <= 0)
      return json(response, 400, { object: 'error', message: 'max_tokens must be positive', code: 400 });
    const pieces = templatedContinuation(body);
    open(response);
    for (const text of ['', ...pieces])
      send(response, {
        id: '1',
        object: 'text_completion',
        choices: [{ index: 0, text, matched_stop: null }],
      });
    send(response, { id: '1', choices: [{ index: 0, text: '', finish_reason: 'stop', matched_stop: 2 }] });
    send(response, {
      id: '1',
      choices: [],
      usage: {
        prompt_tokens: REPORTED.promptTokens,
        completion_tokens: pieces.length,
        prompt_tokens_details: { cached_tokens: REPORTED.cachedTokens },
      },
    });
    done(response);
  },
};

/**
 * llama.cpp tools/server (server-common.cpp, server-task.cpp): `timings.cache_n` says how much of the prompt was in the slot;
 * log-probabilities in the chat form, and only from one alternative on; `echo` is an error of the server's own; /apply-template
 * and /tokenize at the root, the template without the begin-of-text token that completions put in front (common/chat.cpp; versions
 * before May 2025 and models whose metadata are at odds give it with one).
 */
const llamaCpp: Dialect = {
  name: 'llama.cpp',
  folder: '/v1',
  models: { object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'llamacpp', meta: {} }] },
  answer(path, body, response) {
    if (path === '/tokenize')
      return json(response, 200, {
        tokens: body.add_special === true ? [{ id: 1, piece: BEGIN }] : [],
      });
    if (path === '/apply-template') {
      const [message] = body.messages as Message[];
      return json(response, 200, { prompt: templated('', message!.content) });
    }
    if (path !== '/completions') return notFound(response);
    if (body.echo === true)
      return json(response, 500, {
        error: { code: 500, message: 'Only no echo is supported', type: 'server_error' },
      });
    const pieces = templatedContinuation(body);
    const event = { created: 1, model: 'm', system_fingerprint: 'b1-x', object: 'text_completion', id: 'c' };
    open(response);
    for (const text of pieces) {
      const token = { id: 7, token: text, bytes: [...Buffer.from(text)], logprob: -0.1 };
      const logprobs =
        Number(body.logprobs ?? 0) > 0 ? { content: [{ ...token, top_logprobs: [token] }] } : null;
      send(response, { ...event, choices: [{ text, index: 0, logprobs, finish_reason: null }] });
    }
    send(response, {
      ...event,
      choices: [{ text: '', index: 0, logprobs: null, finish_reason: 'stop' }],
      usage: { completion_tokens: pieces.length, prompt_tokens: REPORTED.promptTokens, total_tokens: 0 },
      timings: {
        cache_n: REPORTED.cachedTokens,
        prompt_n: REPORTED.promptTokens - REPORTED.cachedTokens,
        predicted_n: pieces.length,
      },
    });
    done(response);
  },
};

/** Ollama: its own API answers JSON line by line; its completions put the prompt into a chat turn. */
const ollama: Dialect = {
  name: 'ollama',
  folder: '/v1',
  models: { object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'library' }] },
  answer(path, body, response) {
    if (path === '/completions') {
      open(response);
      for (const text of continuation('a new turn', limitOf(body)))
        send(response, { object: 'text_completion', choices: [{ text, index: 0, finish_reason: null }] });
      send(response, { choices: [{ text: '', index: 0, finish_reason: 'stop' }] });
      return done(response);
    }
    if (path !== '/api/generate') return notFound(response);
    const options = (body.options ?? {}) as { num_predict?: number };
    const text = body.raw === true ? String(body.prompt) : 'a new turn';
    const pieces = continuation(text, options.num_predict ?? 1000);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (const piece of pieces) {
      const logprobs = body.logprobs === true ? { logprobs: [{ token: piece, logprob: -0.1 }] } : {};
      const line = { model: 'm', created_at: '2026', response: piece, done: false, ...logprobs };
      response.write(`${JSON.stringify(line)}\n`);
    }
    const counts = { prompt_eval_count: REPORTED.promptTokens, eval_count: pieces.length, eval_duration: 1 };
    response.end(
      `${JSON.stringify({ model: 'm', response: '', done: true, done_reason: 'stop', ...counts })}\n`,
    );
  },
};

/** LM Studio: paths that it does not know are answered with 200 and an error. */
const lmStudio: Dialect = {
  name: 'lm-studio',
  folder: '/v1',
  models: { object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'organization_owner' }] },
  answer(path, body, response) {
    if (path !== '/completions')
      return json(response, 200, { error: `Unexpected endpoint or method. (POST ${path})` });
    const pieces = continuation(String(body.prompt), limitOf(body));
    open(response);
    for (const text of pieces)
      send(response, {
        id: 'cmpl',
        object: 'text_completion',
        choices: [{ index: 0, text, logprobs: null }],
      });
    send(response, { id: 'cmpl', choices: [{ index: 0, text: '', logprobs: null, finish_reason: 'stop' }] });
    const usage = { prompt_tokens: REPORTED.promptTokens, completion_tokens: pieces.length, total_tokens: 0 };
    send(response, { id: 'cmpl', choices: [], usage });
    done(response);
  },
};

/**
 * DeepSeek's beta address: keep-alive comments, cache hits and misses in the usage; a thought that is to be continued stands in
 * `reasoning_content` of the last message, and its continuation comes there too (api-docs.deepseek.com, chat completion).
 */
const deepseek: Dialect = {
  name: 'deepseek',
  folder: '/beta',
  apiKey: 'sk-deepseek',
  models: { object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'deepseek' }] },
  answer(path, body, response, request) {
    if (request.headers.authorization !== 'Bearer sk-deepseek')
      return json(response, 401, {
        error: { message: 'Authentication Fails', type: 'authentication_error' },
      });
    if (path !== '/chat/completions') return notFound(response);
    const last = (body.messages as Message[]).at(-1)!;
    const thinking = last.prefix === true && last.reasoning_content !== undefined && last.content === '';
    const text = thinking ? last.reasoning_content! : partial(body, ({ prefix }) => prefix === true);
    const pieces = continuation(text ?? 'a new turn', limitOf(body));
    open(response);
    response.write(': keep-alive\n\n');
    let ended = !thinking;
    for (const piece of pieces) {
      // Behind the thought the answer stands in the other field, without the mark between them.
      ended ||= piece.includes('</');
      const [content, reasoning_content] = ended ? [piece, null] : [null, piece];
      send(response, {
        choices: [{ index: 0, delta: { content, reasoning_content }, finish_reason: null }],
      });
    }
    send(response, {
      choices: [{ index: 0, delta: { content: '' }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: REPORTED.promptTokens,
        completion_tokens: pieces.length,
        prompt_cache_hit_tokens: REPORTED.cachedTokens,
        prompt_cache_miss_tokens: REPORTED.promptTokens - REPORTED.cachedTokens,
      },
    });
    done(response);
  },
};

const MISTRAL_FIELDS = new Set([
  'model',
  'messages',
  'stream',
  'max_tokens',
  'temperature',
  'top_p',
  'stop',
  'random_seed',
  'presence_penalty',
  'frequency_penalty',
]);

/** Mistral: unknown fields are refused, the prefix comes back in front of its continuation. */
const mistral: Dialect = {
  name: 'mistral',
  folder: '/v1',
  apiKey: 'mistral-key',
  models: { object: 'list', data: [{ id: 'm', object: 'model', owned_by: 'mistralai' }] },
  answer(path, body, response, request) {
    if (request.headers.authorization !== 'Bearer mistral-key')
      return json(response, 401, { message: 'Unauthorized', request_id: '1' });
    if (path !== '/chat/completions')
      return json(response, 404, { message: 'no Route matched with those values' });
    const extra = Object.keys(body).find((name) => !MISTRAL_FIELDS.has(name));
    if (extra !== undefined)
      return json(response, 422, {
        object: 'error',
        message: {
          detail: [{ type: 'extra_forbidden', loc: ['body', extra], msg: 'Extra inputs are not permitted' }],
        },
      });
    const last = (body.messages as Message[]).at(-1)!;
    if (last.role === 'assistant' && last.prefix !== true)
      return json(response, 400, {
        object: 'error',
        message:
          'Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant',
      });
    const text = partial(body, (message) => message.prefix === true);
    const pieces = continuation(text ?? 'a new turn', limitOf(body));
    open(response);
    for (const content of [...(text === null ? [] : [text]), ...pieces])
      send(response, { id: '1', choices: [{ index: 0, delta: { content }, finish_reason: null }] });
    send(response, {
      id: '1',
      choices: [{ index: 0, delta: { content: '' }, finish_reason: 'stop' }],
      usage: {
        prompt_tokens: REPORTED.promptTokens,
        completion_tokens: pieces.length,
        prompt_tokens_details: { cached_tokens: REPORTED.cachedTokens },
      },
    });
    done(response);
  },
};

/** OpenRouter: comments while the provider works, raw prompts on /completions, usage in the last event without being asked. */
const openrouter: Dialect = {
  name: 'openrouter',
  folder: '/api/v1',
  apiKey: 'sk-or',
  models: { data: [{ id: 'm', name: 'M' }] },
  answer(path, body, response, request) {
    if (request.headers.authorization !== 'Bearer sk-or')
      return json(response, 401, { error: { code: 401, message: 'No auth credentials found' } });
    if (path !== '/completions') return notFound(response);
    const pieces = continuation(String(body.prompt), limitOf(body));
    open(response);
    response.write(': OPENROUTER PROCESSING\n\n');
    for (const text of pieces)
      send(response, { id: 'gen', provider: 'P', choices: [{ text, finish_reason: null, logprobs: null }] });
    send(response, {
      id: 'gen',
      choices: [{ text: '', finish_reason: 'stop', native_finish_reason: 'stop' }],
    });
    send(response, {
      id: 'gen',
      choices: [{ text: '', finish_reason: null }],
      usage: {
        prompt_tokens: REPORTED.promptTokens,
        completion_tokens: pieces.length,
        cost: 0.001,
        prompt_tokens_details: { cached_tokens: REPORTED.cachedTokens, cache_write_tokens: 0 },
      },
    });
    done(response);
  },
};

export const DIALECTS: readonly Dialect[] = [
  vllm,
  sglang,
  llamaCpp,
  ollama,
  lmStudio,
  deepseek,
  mistral,
  openrouter,
];

/** A real HTTP server that speaks `dialect`. Its `url` ends in the dialect's folder. */
export async function dialectServer(dialect: Dialect): Promise<FaultServer & { paths: string[] }> {
  const paths: string[] = [];
  const server = await faultServer((response, body, request) => {
    const path = request.url!.startsWith(`${dialect.folder}/`)
      ? request.url!.slice(dialect.folder.length)
      : request.url!;
    paths.push(path);
    dialect.answer(path, body, response, request);
  });
  server.models = dialect.models;
  return Object.assign(server, { url: server.url.replace(/\/v1$/, dialect.folder), paths });
}
