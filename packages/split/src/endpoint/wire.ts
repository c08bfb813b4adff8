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
  tokenIds: readonly number[];
  logprobs?: TextChunk['logprobs'];
  finishReason?: FinishReason;
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
    const message = typeof json.error === 'string' ? json.error : (json.error as Json).message;
    throw new EndpointError('server', `${url}: the server stopped with an error: ${String(message)}`);
  }
  // SGLang, and vLLM before 0.10: the error is the event itself.
  if (json.object === 'error' && typeof json.message === 'string')
    throw new EndpointError('server', `${url}: the server stopped with an error: ${json.message}`);
  const choice = Array.isArray(json.choices) ? (json.choices[0] as Json | undefined) : undefined;
  const usage = parseUsage(json);
  if (choice === undefined) {
    if (json.choices === undefined && usage === undefined)
      throw new EndpointError('malformed', `${url}: an event has neither choices nor usage`);
    return { text: '', thought: '', tokenIds: [], ...(usage ? { usage } : {}) };
  }
  const logprobs = parseLogprobs(choice.logprobs);
  const finishReason = parseFinish(choice.finish_reason);
  const ids = choice.token_ids;
  return {
    ...textOf(choice),
    tokenIds: Array.isArray(ids) ? ids.filter((id): id is number => typeof id === 'number') : [],
    ...(logprobs ? { logprobs } : {}),
    ...(finishReason ? { finishReason } : {}),
    ...(typeof choice.stop_reason === 'string' ? { stopped: choice.stop_reason } : {}),
    ...(usage ? { usage } : {}),
  };
}

/** A reasoning parser moves thoughts to another field (vLLM, SGLang, DeepSeek, OpenRouter) or part (Mistral). */
function textOf(choice: Json): { text: string; thought: string } {
  if (typeof choice.text === 'string') return { text: choice.text, thought: '' };
  const delta = (choice.delta ?? choice.message) as Json | undefined;
  const apart = delta?.reasoning_content ?? delta?.reasoning;
  const thought = typeof apart === 'string' ? apart : '';
  const content = delta?.content;
  if (!Array.isArray(content)) return { text: typeof content === 'string' ? content : '', thought };
  const parts = content as Json[];
  const joined = (kind: string): string =>
    parts.map((part) => (part.type === kind ? partText(part[kind]) : '')).join('');
  return { text: joined('text'), thought: thought + joined('thinking') };
}

function partText(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? (value as Json[]).map((part) => partText(part.text)).join('') : '';
}

function parseFinish(reason: unknown): FinishReason | undefined {
  if (typeof reason !== 'string') return undefined;
  if (reason === 'length' || reason === 'max_tokens') return 'length';
  return reason === 'abort' || reason === 'error' ? 'error' : 'stop';
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
  return (content as Named[]).map((one) => {
    const top = (one.top_logprobs ?? []).map((t) => named(t));
    return { ...named(one), ...(top.length > 0 ? { top } : {}) };
  });
}

/** OpenAI's chat form; llama.cpp's completions have it as well, with ids. */
interface Named {
  id?: unknown;
  token: string;
  logprob: number;
  top_logprobs?: readonly Named[] | null;
}

function named({ id, token, logprob }: Named): TokenLogprob {
  return { id: typeof id === 'number' ? id : -1, text: token, logprob };
}

function legacyTop(value: unknown): TokenLogprob[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value as Record<string, number>)
    .map(([text, logprob]) => ({ id: -1, text, logprob }))
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
