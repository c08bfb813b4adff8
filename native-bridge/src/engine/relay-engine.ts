// Two models behind the endpoint: every request is one relay run, and each chunk says who wrote it. Any OpenAI client or
// evaluation harness can so use the relay as if it were one model.
import { StopStrings, type LocalModel } from '@baton/runtime';
import type { ChatMessage, GenerateOptions, TextModel, TextSession } from '@baton/runtime/text-model';
import { solve, type Budget, type SolveEvent, type SolveOptions, type Trace } from '@baton/split';
import { ApiError } from '../api-error.ts';
import { renderConversation } from './chat-prompt.ts';
import { Conversations, type ConversationLimits } from './conversations.ts';
import type { ChatOptions, Engine, EngineChunk, EngineInfo, Prompt, PromptToken } from './engine.ts';

export interface RelayParts {
  small: LocalModel;
  limits: ConversationLimits;
  /** Opened at the first request that needs it, so that the bridge also starts while the endpoint is away. */
  large: { name: string; open(): Promise<TextModel>; close(): Promise<void> };
  policy: string;
  budget: Budget;
  chatTemplate: string | null;
}

export class RelayEngine implements Engine {
  readonly info: EngineInfo;
  readonly stepwise = null;
  readonly #parts: RelayParts;
  readonly #conversations: Conversations;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    const { small, large } = parts;
    this.#conversations = new Conversations(small, parts.limits);
    this.info = {
      id: `${small.id}+${large.name}`,
      get location() {
        return `${small.location} and ${large.name}`;
      },
      contextLength: small.manifest.capacities.at(-1)!,
      chatTemplate: parts.chatTemplate,
      mode: 'relay',
      caches: () => this.#conversations.usage,
    };
  }

  get room(): number {
    return this.#conversations.room;
  }

  async *generate(prompt: Prompt, options: GenerateOptions): AsyncGenerator<EngineChunk> {
    if ('ids' in prompt)
      throw new ApiError(400, 'prompt: a relay takes text, for its two models have different tokens', {
        param: 'prompt',
      });
    yield* this.#solve(prompt.text, { raw: true }, options);
  }

  async *chat(messages: readonly ChatMessage[], options: ChatOptions): AsyncGenerator<EngineChunk> {
    const { continueFinal, variables = {}, ...rest } = options;
    const { small } = this.#parts;
    const begun = continueFinal ? messages.at(-1)!.content : '';
    const turns = continueFinal ? messages.slice(0, -1) : messages;
    const question = turns.at(-1);
    if (question?.role === 'user' && question.content.trim() !== '' && this.#parts.chatTemplate !== null)
      return yield* this.#solve(question.content, { history: turns.slice(0, -1), begun }, rest, variables);
    // Nothing is asked that a large model could be asked in its own form: it goes on with the same text.
    yield* this.#solve(
      await renderConversation(small, messages, continueFinal, { variables }),
      { raw: true },
      rest,
    );
  }

  async score(): Promise<PromptToken[]> {
    throw new ApiError(400, 'echo: a relay has no log-probabilities of its prompt', { param: 'echo' });
  }

  tokenBytes(id: number): Uint8Array | undefined {
    return this.#parts.small.tokenizer.bytes.at(id);
  }

  async close(): Promise<void> {
    await this.#conversations.close();
    await this.#parts.large.close();
    await this.#parts.small.close();
  }

  async *#solve(
    question: string,
    asked: Pick<SolveOptions, 'history' | 'begun' | 'raw'>,
    options: GenerateOptions,
    variables: NonNullable<ChatOptions['variables']> = {},
  ): AsyncGenerator<EngineChunk> {
    if (options.topLogprobs !== undefined)
      throw new ApiError(400, 'logprobs: a relay has none, for two models write its answer', {
        param: 'logprobs',
      });
    const { small, large, policy } = this.#parts;
    const control = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, control.signal]) : control.signal;
    const prompt = Promise.withResolvers<readonly number[]>();
    const events = solve(question, {
      ...asked,
      small: {
        id: small.id,
        location: small.location,
        capabilities: small.capabilities,
        generate: (text, generation) => small.generate(text, generation),
        // The large model has a template of its own, which may know other names.
        renderChat: (messages, form) => small.renderChat(messages, { ...form, variables }),
        openSession: async () => this.#lease(await prompt.promise),
      },
      large: await large.open(),
      policy,
      budget: this.#budget(options),
      sampling: options.sampling ?? {},
      signal,
    });
    try {
      yield* this.#chunks(events, options, prompt.resolve, () => control.abort());
    } finally {
      // Ends the run when the client leaves.
      control.abort();
      await events.return(undefined as never);
    }
  }

  /** A kept cache for the run; closing it puts it back. */
  async #lease(prompt: readonly number[]): Promise<TextSession> {
    const session = await this.#conversations.take(prompt);
    return {
      encode: (text) => session.encode(text),
      beginnings: (text) => session.beginnings(text),
      sync: (text, options) => session.sync(text, options),
      generate: (options) => session.generate(options),
      state: () => session.state(),
      close: () => this.#conversations.giveBack(session),
    };
  }

  #budget({ maxTokens }: GenerateOptions): Budget {
    const { budget } = this.#parts;
    if (maxTokens === undefined) return budget;
    return { ...budget, maxTokens: Math.min(maxTokens, budget.maxTokens ?? maxTokens) };
  }

  async *#chunks(
    events: AsyncIterable<SolveEvent>,
    options: GenerateOptions,
    started: (prompt: readonly number[]) => void,
    stop: () => void,
  ): AsyncGenerator<EngineChunk> {
    const stops = new StopStrings(options.stop ?? []);
    let promptTokens = 0;
    let tokens = 0;
    let origin: 'small' | 'large' = 'small';
    let stopped: string | undefined;
    for await (const event of events) {
      if (event.type === 'start') {
        const prompt = this.#parts.small.tokenizer.encodeSequence(event.prompt);
        promptTokens = prompt.length;
        started(prompt);
      } else if (event.type === 'text' && stopped === undefined) {
        tokens += event.tokens;
        origin = event.origin;
        const { text, match } = stops.push(event.text);
        const shown = match !== undefined && options.includeStop ? text + match : text;
        if (shown !== '') yield { text: shown, tokenIds: [], origin };
        if (match === undefined) continue;
        // The run ends, and its trace is still to come.
        stopped = match;
        stop();
      } else if (event.type === 'end') {
        const { notes } = event.trace;
        yield {
          text: stopped === undefined ? stops.flush() : '',
          tokenIds: [],
          origin,
          ...(stopped === undefined ? ending(event.trace) : { finishReason: 'stop', stopped }),
          ...(notes.length > 0 ? { notes } : {}),
          usage: { promptTokens, completionTokens: tokens },
          trace: event.trace,
        };
      }
    }
  }
}

function ending({ stopReason }: Trace): Pick<EngineChunk, 'finishReason'> {
  if (stopReason === 'error') return { finishReason: 'error' };
  const cut = stopReason === 'length' || stopReason === 'context' || stopReason === 'budget';
  return { finishReason: cut ? 'length' : stopReason === 'aborted' ? 'aborted' : 'stop' };
}
