// An endpoint that need not be there yet: it is asked what it can do while the small model already writes, and a failure
// comes out where the relay expects it, at the hand-off. A run with a dead endpoint so still ends in the small model's answer.

import type { GenerateOptions, TextChunk, TextModel, TextModelCapabilities } from '@baton/runtime/text-model';
import { underSignal } from '@baton/runtime/under-signal';

import type { Continuation, ContinuingModel } from '../relay/large-side.ts';
import { isContinuing } from '../relay/large-side.ts';
import { SplitError } from '../split-error.ts';
import { apiBase } from './address.ts';
import { connect, connectKnown } from './connect.ts';
import type { ConnectOptions } from './connect.ts';
import { OpenAICompletionsModel } from './openai-completions.ts';
import { streamsPrompts } from './streamed-prompt.ts';
import type { OpenPrompt, PromptStreaming } from './streamed-prompt.ts';

export interface OnDemandOptions extends ConnectOptions {
  /** Called with what is wrong each time that the endpoint was asked in vain. */
  onFailure?: (error: unknown) => void;
}

/** Throws at once for an address or a preset that cannot be right; everything else is found out by the first request. */
export function connectOnDemand({ onFailure, ...options }: OnDemandOptions): TextModel {
  return connectKnown(options) ?? new EndpointOnDemand(options, onFailure);
}

/** After a failed probe, requests within this time fail with the same error instead of asking again. */
const REMEMBER_MS = 10_000;

class EndpointOnDemand implements ContinuingModel, PromptStreaming {
  readonly location: string;
  readonly #options: ConnectOptions;
  readonly #onFailure: ((error: unknown) => void) | undefined;
  readonly #control = new AbortController();
  #asked: Promise<TextModel>;
  #connected: TextModel | null = null;
  #failedAt: number | null = null;

  constructor(options: ConnectOptions, onFailure: ((error: unknown) => void) | undefined) {
    this.location = apiBase(options.url);
    this.#options = options;
    this.#onFailure = onFailure;
    this.#asked = this.#ask();
  }

  get id(): string {
    return this.#connected?.id ?? this.#options.model ?? this.location;
  }

  get capabilities(): TextModelCapabilities {
    const { apiKey, billed, logprobs } = this.#options;
    return (
      this.#connected?.capabilities ?? {
        logprobs: logprobs ?? false,
        sessions: false,
        rawCompletion: true,
        billed: billed ?? (apiKey !== undefined && apiKey !== ''),
      }
    );
  }

  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    yield* (await this.#model(options.signal)).generate(prompt, options);
  }

  /** Nobody waits for an endpoint that has not said yet what it is. */
  openPrompt(prompt: string): OpenPrompt | null {
    const model = this.#connected;
    return model && streamsPrompts(model) ? model.openPrompt(prompt) : null;
  }

  async promptOf(turn: Continuation, signal?: AbortSignal): Promise<string | null> {
    const model = await this.#model(signal);
    if (!isContinuing(model)) return turn.prompt + turn.answer;
    return (await model.promptOf?.(turn, signal)) ?? null;
  }

  async *continueAssistant(turn: Continuation, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    const model = await this.#model(options.signal);
    yield* isContinuing(model)
      ? model.continueAssistant(turn, options)
      : model.generate(turn.prompt + turn.answer, options);
  }

  /** As OpenAICompletionsModel.score; throws SplitError `unsuitable-model` where the endpoint takes no raw text. */
  async score(
    text: string,
    options: { top?: number; signal?: AbortSignal } = {},
  ): ReturnType<OpenAICompletionsModel['score']> {
    const model = await this.#model(options.signal);
    if (!(model instanceof OpenAICompletionsModel))
      throw new SplitError(
        'unsuitable-model',
        `${this.id} at ${this.location} gives no log-probabilities of a prompt; this policy needs them`,
      );
    return model.score(text, options);
  }

  async close(): Promise<void> {
    this.#control.abort();
    await this.#connected?.close?.();
  }

  async #model(signal: AbortSignal | undefined): Promise<TextModel> {
    signal?.throwIfAborted();
    if (this.#failedAt !== null && performance.now() - this.#failedAt > REMEMBER_MS)
      this.#asked = this.#ask();
    return underSignal(this.#asked, signal);
  }

  #ask(): Promise<TextModel> {
    this.#failedAt = null;
    const asked = connect({ ...this.#options, signal: this.#control.signal });
    asked.then(
      (model) => (this.#connected = model),
      (error: unknown) => {
        this.#failedAt = performance.now();
        if (!this.#control.signal.aborted) this.#onFailure?.(error);
      },
    );
    return asked;
  }
}
