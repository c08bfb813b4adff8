// Ollama's own POST /api/generate with `raw: true`: its OpenAI-compatible completions put every prompt through the model's
// chat template, which starts a new turn in the middle of a thought. Fields after ollama/ollama docs/api.md.

import type { GenerateOptions, TextChunk, TextModel, TextModelCapabilities } from '@baton/runtime/text-model';

import { EndpointError } from '../split-error.ts';
import { apiBase } from './address.ts';
import { postEvents } from './event-stream.ts';
import type { HttpOptions } from './event-stream.ts';
import { firstModelId, httpOf } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';
import { Thoughts, endsInThought } from './stream-chunks.ts';
import { inOneLine, isCount, messageIn, parseLogprobs } from './wire.ts';

interface Line {
  response?: unknown;
  /** What its parser took out of the text as a thought. */
  thinking?: unknown;
  done?: unknown;
  done_reason?: unknown;
  prompt_eval_count?: unknown;
  eval_count?: unknown;
  /** From Ollama 0.12.11 on. */
  logprobs?: unknown;
  error?: unknown;
}

export class OllamaModel implements TextModel {
  readonly location: string;
  readonly capabilities: TextModelCapabilities;
  readonly #options: EndpointOptions;
  readonly #http: HttpOptions;
  #model: string | null;

  /** `url`: the server's address, with or without the /v1 of its other API. */
  constructor(options: EndpointOptions) {
    this.location = apiBase(options.url);
    this.#options = options;
    this.#http = httpOf(options);
    this.#model = options.model ?? null;
    this.capabilities = {
      logprobs: options.logprobs ?? true,
      sessions: false,
      rawCompletion: true,
      billed: options.billed ?? (options.apiKey !== undefined && options.apiKey !== ''),
    };
  }

  get id(): string {
    return this.#model ?? this.location;
  }

  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    this.#model ??= await firstModelId(this.#options, options.signal);
    const url = `${this.location.replace(/\/v1$/, '')}/api/generate`;
    const body = {
      // Models that think do so in a field apart unless they are told not to, raw prompts or not (server/routes.go, GenerateHandler); those
      // with a parser of their own do it all the same.
      think: false,
      ...this.#options.extraBody,
      model: this.#model,
      prompt,
      raw: true,
      stream: true,
      ...(this.capabilities.logprobs ? { logprobs: true, top_logprobs: options.topLogprobs ?? 0 } : {}),
      options: modelOptions(options),
    };
    const thoughts = new Thoughts(endsInThought(prompt));
    const lines = postEvents(url, body, this.#http, options.signal, 'lines');
    try {
      for await (const data of lines) {
        const chunk = chunkOf(parseLine(data, url), url, thoughts);
        yield chunk;
        if (chunk.finishReason !== undefined) return;
      }
    } finally {
      await lines.return('eof');
    }
    throw new EndpointError('cut', `${url}: the stream ended in the middle`);
  }
}

function modelOptions({ maxTokens, stop, sampling = {} }: GenerateOptions): Record<string, unknown> {
  const fields = {
    // JSON has no infinity.
    num_predict: maxTokens === Infinity ? -1 : maxTokens,
    stop: stop && stop.length > 0 ? stop : undefined,
    temperature: sampling.temperature ?? 0,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    repeat_penalty: sampling.repetitionPenalty,
    presence_penalty: sampling.presencePenalty,
    frequency_penalty: sampling.frequencyPenalty,
    seed: sampling.seed,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const textOr = (value: unknown): string => (typeof value === 'string' ? value : '');

function parseLine(data: string, url: string): Line {
  try {
    const line = JSON.parse(data) as Line | null;
    if (typeof line === 'object' && line !== null) return line;
  } catch (error) {
    throw new EndpointError('malformed', `${url}: a line is not JSON: ${data.slice(0, 80)}`, {
      cause: error,
    });
  }
  throw new EndpointError('malformed', `${url}: a line is not an object: ${data.slice(0, 80)}`);
}

function chunkOf(line: Line, url: string, thoughts: Thoughts): TextChunk {
  if (line.error !== undefined) {
    const message = inOneLine(messageIn(line.error));
    throw new EndpointError('server', `${url}: the server stopped with an error: ${message}`);
  }
  const { response, thinking } = line;
  if (typeof response !== 'string' && typeof thinking !== 'string' && line.done !== true)
    throw new EndpointError('malformed', `${url}: a line has no "response"`);
  const text = thoughts.joined({ text: textOr(response), thought: textOr(thinking) });
  const logprobs = Array.isArray(line.logprobs) ? parseLogprobs({ content: line.logprobs }) : undefined;
  const told = logprobs && logprobs.length > 0 ? { logprobs } : {};
  if (line.done !== true) return { text, tokenIds: [], ...told };
  return {
    text,
    tokenIds: [],
    ...told,
    finishReason: line.done_reason === 'length' ? 'length' : 'stop',
    // Left out where the whole prompt was in its cache.
    ...(isCount(line.prompt_eval_count)
      ? {
          usage: {
            promptTokens: line.prompt_eval_count,
            completionTokens: isCount(line.eval_count) ? line.eval_count : 0,
          },
        }
      : {}),
  };
}
