// Continuing an assistant turn over POST /v1/chat/completions, for servers that take no raw text. Each server family has
// its own way to say "go on with this message"; the last resort asks in words.

import type { GenerateOptions, TextChunk, TextModelCapabilities } from '@baton/runtime/text-model';

import type { Continuation, ContinuingModel } from '../relay/large-side.ts';
import { SplitError } from '../split-error.ts';
import { apiBase, apiUrl } from './address.ts';
import { firstModelId, httpOf, requestFields } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';
import { Thoughts, endsInThought, streamChunks } from './stream-chunks.ts';
import type { RequestForm } from './stream-chunks.ts';
import type { HttpOptions } from './event-stream.ts';

/**
 * 'continue': `continue_final_message` with `add_generation_prompt: false` (vLLM, SGLang, llama.cpp since 2026-05).
 * 'prefix': `prefix: true` on the last message (DeepSeek beta, Mistral).
 * 'trailing': a last assistant message is continued without being asked (Ollama's templates, OpenRouter's providers).
 * 'phrase': no way to continue; the text so far is put into the question.
 */
export type Dialect = 'continue' | 'prefix' | 'trailing' | 'phrase';

export class ChatContinuationModel implements ContinuingModel {
  readonly location: string;
  readonly capabilities: TextModelCapabilities;
  readonly dialect: Dialect;
  readonly #options: EndpointOptions;
  readonly #http: HttpOptions;
  readonly #form: RequestForm;
  #model: string | null;

  constructor(options: EndpointOptions, dialect: Dialect) {
    this.#form = { plain: options.plain ?? false };
    this.location = apiBase(options.url);
    this.dialect = dialect;
    this.#options = options;
    this.#http = httpOf(options);
    this.#model = options.model ?? null;
    this.capabilities = {
      logprobs: options.logprobs ?? false,
      sessions: false,
      rawCompletion: false,
      billed: options.billed ?? (options.apiKey !== undefined && options.apiKey !== ''),
    };
  }

  get id(): string {
    return this.#model ?? this.location;
  }

  // eslint-disable-next-line require-yield
  async *generate(): AsyncGenerator<TextChunk> {
    throw new SplitError(
      'unsuitable-model',
      `${this.location} takes no raw text; it only continues a chat turn`,
    );
  }

  /** Goes on with the partial assistant turn. What a server repeats of it is cut off again. */
  async *continueAssistant(turn: Continuation, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    this.#model ??= await firstModelId(this.#options, options.signal);
    const body = {
      ...requestFields(options, this.#options),
      ...messagesFor(turn, this.dialect, this.#thoughtField()),
      model: this.#model,
      ...(this.capabilities.logprobs ? { logprobs: true, top_logprobs: options.topLogprobs ?? 0 } : {}),
    };
    const url = apiUrl(this.#options.url, 'chat/completions');
    const inThought = !turn.bare && endsInThought(turn.partial);
    const thoughts = new Thoughts(inThought);
    const stream = streamChunks(url, body, this.#http, options.signal, this.#form, thoughts);
    yield* withoutEcho(stream, turn.partial);
  }

  /** Models that do not think take a thought as text. */
  #thoughtField(): string | null {
    const { thoughtField } = this.#options;
    return thoughtField !== undefined && !/(?:^|\/)deepseek-chat$/.test(this.#model ?? '')
      ? thoughtField
      : null;
  }
}

/** The request's messages, and whatever flags say that the last one is unfinished. */
export function messagesFor(
  turn: Continuation,
  dialect: Dialect,
  thoughtField: string | null = null,
): Record<string, unknown> {
  const { history = [] } = turn;
  const user = { role: 'user', content: turn.question };
  if (turn.bare) return { messages: [...history, user] };
  if (dialect === 'phrase') {
    const content =
      turn.partial === ''
        ? `${turn.question}\n\nThink step by step and put the final answer in \\boxed{}.`
        : `${turn.question}\n\nA solution was begun and broken off in the middle:\n\n---\n${turn.partial}\n---\n\n` +
          'Write on from exactly where it breaks off, in the same style, beginning with the very next character. ' +
          'Do not repeat any of it and add no remarks. Put the final answer in \\boxed{}.';
    return { messages: [...history, { role: 'user', content }] };
  }
  // An empty assistant message is refused by some servers, and says nothing.
  if (turn.partial === '') return { messages: [...history, user] };
  const assistant = { role: 'assistant', ...partsOf(turn.partial, thoughtField) };
  if (dialect === 'prefix') return { messages: [...history, user, { ...assistant, prefix: true }] };
  const messages = [...history, user, assistant];
  return dialect === 'continue'
    ? { messages, continue_final_message: true, add_generation_prompt: false }
    : { messages };
}

/** An unfinished message; its thought in a field of its own where the server wants it so. */
function partsOf(partial: string, thoughtField: string | null): Record<string, string> {
  if (thoughtField === null || !partial.startsWith('<think>')) return { content: partial };
  const [thought = '', ...rest] = partial.slice('<think>'.length).trimStart().split('</think>');
  return { content: rest.join('</think>').trimStart(), [thoughtField]: thought };
}

/** Cuts the partial turn off the front where the server sends it back; text that differs is the continuation. */
async function* withoutEcho(stream: AsyncIterable<TextChunk>, partial: string): AsyncGenerator<TextChunk> {
  let undecided = partial !== '';
  let held: TextChunk[] = [];
  let seen = '';
  for await (const chunk of stream) {
    if (!undecided) {
      yield chunk;
      continue;
    }
    seen += chunk.text;
    held.push(chunk);
    const repeats = partial.startsWith(seen) && chunk.finishReason === undefined;
    if (repeats && seen.length < partial.length) continue;
    undecided = false;
    if (seen.startsWith(partial) && seen.length >= partial.length) {
      yield { ...chunk, tokenIds: [], text: seen.slice(partial.length) };
    } else yield* held;
    held = [];
  }
  yield* held;
}
