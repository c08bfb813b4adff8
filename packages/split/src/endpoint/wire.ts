// Reads OpenAI's completion events (legacy completions and chat chunks) into the one TextChunk shape, with the usage
// fields of the servers that name them differently. Field sources: OpenAI API reference; DeepSeek
// (prompt_cache_hit_tokens); Mistral (num_cached_tokens); llama.cpp server (timings.cache_n, tokens_cached); vLLM (token_ids).

import type { FinishReason, TextChunk, TokenLogprob, Usage } from '@baton/runtime/text-model';

import { EndpointError } from '../split-error.ts';

type Json = Record<string, unknown>;

/** One event's content: a piece of text, or the end, or only usage. */
export interface WireEvent {
  text: string;
  /** What the server holds for a thought, apart from the text. */
  thought: string;
  /** Where it says apart from the text that it will not answer: a piece of that. */
  refusal: string;
  tokenIds: readonly number[];
  logprobs?: TextChunk['logprobs'];
  finishReason?: FinishReason;
  /** Why the end that `finishReason` tells is not the answer's. */
  failure?: string;
  stopped?: string;
  usage?: Usage;
}

export function parseEvent(data: string, url: string): WireEvent {
  let json: Json;
  try {
    json = JSON.parse(data) as Json;
  } catch (error) {
    const shown = data.slice(0, 80).replace(/\s+/g, ' ');
    throw new EndpointError('malformed', `${url}: an event is not JSON: ${shown}`, { cause: error });
  }
  if (typeof json !== 'object' || json === null)
    throw new EndpointError('malformed', `${url}: an event is not an object: ${data.slice(0, 80)}`);
  if (json.error !== undefined && json.error !== null) {
    const message = inOneLine(messageIn(json.error));
    throw new EndpointError('server', `${url}: the server stopped with an error: ${message}`);
  }
  // SGLang, and vLLM before 0.10: the error is the event itself.
  if (json.object === 'error' && typeof json.message === 'string')
    throw new EndpointError('server', `${url}: the server stopped with an error: ${inOneLine(json.message)}`);
  const choice = Array.isArray(json.choices) ? objectOr(json.choices[0]) : undefined;
  const usage = parseUsage(json);
  if (choice === undefined) {
    if (json.choices === undefined && usage === undefined)
      throw new EndpointError('malformed', `${url}: an event has neither choices nor usage`);
    return { text: '', thought: '', refusal: '', tokenIds: [], ...(usage ? { usage } : {}) };
  }
  const logprobs = parseLogprobs(choice.logprobs);
  const finishReason = parseFinish(choice.finish_reason);
  const failure = FAILURES.get(choice.finish_reason);
  const ids = choice.token_ids;
  return {
    ...textOf(choice),
    tokenIds: Array.isArray(ids) ? ids.filter((id): id is number => typeof id === 'number') : [],
    ...(logprobs ? { logprobs } : {}),
    ...(finishReason ? { finishReason } : {}),
    ...(failure === undefined ? {} : { failure }),
    ...(typeof choice.stop_reason === 'string' ? { stopped: choice.stop_reason } : {}),
    ...(usage ? { usage } : {}),
  };
}

/** A reasoning parser moves thoughts to another field (vLLM, SGLang, DeepSeek, OpenRouter) or part (Mistral). */
function textOf(choice: Json): { text: string; thought: string; refusal: string } {
  if (typeof choice.text === 'string') return { text: choice.text, thought: '', refusal: '' };
  const delta = objectOr(choice.delta ?? choice.message);
  const thought = partText(delta?.reasoning_content ?? delta?.reasoning);
  const refusal = partText(delta?.refusal);
  const content = delta?.content;
  if (!Array.isArray(content)) return { text: partText(content), thought, refusal };
  const parts = content.map(objectOr);
  const joined = (kind: string): string =>
    parts.map((part) => (part?.type === kind ? partText(part[kind]) : '')).join('');
  return {
    text: joined('text'),
    thought: thought + joined('thinking'),
    refusal: refusal + joined('refusal'),
  };
}

function partText(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? value.map((part) => partText(objectOr(part)?.text)).join('') : '';
}

function objectOr(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null ? (value as Json) : undefined;
}

/** The words of an error: a text, an object with a `message`, or whatever else it is. */
export function messageIn(error: unknown): string {
  if (typeof error === 'string') return error;
  const message = objectOr(error)?.message;
  return typeof message === 'string' ? message : JSON.stringify(message ?? error);
}

/** A server's words as part of a line. */
export function inOneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 300);
}

/** Finish reasons of a generation that is not whole, and cannot be made so by going on. */
const FAILURES: ReadonlyMap<unknown, string> = new Map(
  Object.entries({
    content_filter: 'its content filter ended the answer (content_filter)',
    tool_calls: 'it called a tool instead of answering (tool_calls)',
    function_call: 'it called a function instead of answering (function_call)',
    // DeepSeek.
    insufficient_system_resource: 'it had no room to finish the answer (insufficient_system_resource)',
    abort: 'the server gave the answer up (abort)',
    error: 'the server stopped with an error',
  }),
);

function parseFinish(reason: unknown): FinishReason | undefined {
  if (typeof reason !== 'string') return undefined;
  if (reason === 'length' || reason === 'max_tokens') return 'length';
  return FAILURES.has(reason) ? 'error' : 'stop';
}

export function parseLogprobs(value: unknown): TextChunk['logprobs'] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { tokens, token_logprobs: own, top_logprobs: tops, content } = value as Json;
  if (Array.isArray(tokens)) {
    return tokens.map((text, i) => {
      const top = Array.isArray(tops) ? legacyTop(tops[i]) : [];
      const logprob = Array.isArray(own) && typeof own[i] === 'number' ? own[i] : Number.NaN;
      return { id: -1, text: String(text), logprob, ...(top.length > 0 ? { top } : {}) };
    });
  }
  if (!Array.isArray(content)) return undefined;
  return content.map((one: unknown) => {
    const tops = objectOr(one)?.top_logprobs;
    const top = Array.isArray(tops) ? tops.map(named) : [];
    return { ...named(one), ...(top.length > 0 ? { top } : {}) };
  });
}

/** One of OpenAI's chat form; llama.cpp's completions have it as well, with ids. What is not told of a token is NaN. */
function named(value: unknown): TokenLogprob {
  const { id, token, logprob } = objectOr(value) ?? {};
  return {
    id: typeof id === 'number' ? id : -1,
    text: typeof token === 'string' ? token : '',
    logprob: typeof logprob === 'number' ? logprob : Number.NaN,
  };
}

function legacyTop(value: unknown): TokenLogprob[] {
  return Object.entries(objectOr(value) ?? {})
    .flatMap(([text, logprob]) => (typeof logprob === 'number' ? [{ id: -1, text, logprob }] : []))
    .sort((a, b) => b.logprob - a.logprob);
}

/** Whether a server's number counts something. */
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

function parseUsage(json: Json): Usage | undefined {
  const usage = json.usage as Json | null | undefined;
  if (typeof usage !== 'object' || usage === null) return undefined;
  const details = (usage.prompt_tokens_details ?? usage.prompt_token_details) as Json | null | undefined;
  const timings = json.timings as Json | undefined;
  const cached = [
    details?.cached_tokens,
    usage.prompt_cache_hit_tokens,
    usage.cached_tokens,
    usage.num_cached_tokens,
    timings?.cache_n,
  ].find(isCount);
  // A usage that counts nothing is none: prices are then estimated.
  if (!isCount(usage.prompt_tokens)) return undefined;
  return {
    promptTokens: usage.prompt_tokens,
    completionTokens: isCount(usage.completion_tokens) ? usage.completion_tokens : 0,
    ...(cached === undefined ? {} : { cachedTokens: cached }),
  };
}
