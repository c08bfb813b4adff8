// Two models behind the endpoint: every request is one relay run, and each chunk says who wrote it. Any OpenAI client or
// evaluation harness can so use the relay as if it were one model.
import { StopStrings, type LocalModel } from '@baton/runtime';
import type { ChatMessage, GenerateOptions, TextModel, TextSession } from '@baton/runtime/text-model';
import { solve, type Budget, type SolveEvent, type Trace } from '@baton/split';
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
    yield* this.#solve(prompt.text, async () => prompt.text, options);
  }

  async *chat(messages: readonly ChatMessage[], options: ChatOptions): AsyncGenerator<EngineChunk> {
    const { continueFinal, ...rest } = options;
    const { small } = this.#parts;
    const last = messages.at(-1)!;
    if (continueFinal) {
      const prompt = await renderConversation(small, messages, true);
      return yield* this.#solve(prompt, async () => prompt, rest);
    }
    // The relay takes the tags out of the question; what it made of it is what is rendered.
    const render = (asked: string): Promise<string> =>
      renderConversation(small, [...messages.slice(0, -1), { ...last, content: asked }], false);
    yield* this.#solve(last.content, render, rest);
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
    render: (asked: string) => Promise<string>,
    options: GenerateOptions,
  ): AsyncGenerator<EngineChunk> {
    if (options.topLogprobs !== undefined)
      throw new ApiError(400, 'logprobs: a relay has none, for two models write its answer', {
        param: 'logprobs',
      });
    const { small, large, policy } = this.#parts;
    const control = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, control.signal]) : control.signal;
    let prompt = '';
    const events = solve(question, {
      small: {
        id: small.id,
        location: small.location,
        capabilities: small.capabilities,
        generate: (text, generation) => small.generate(text, generation),
        renderChat: async ([message]) => (prompt = await render(message!.content)),
        openSession: () => this.#lease(prompt),
      },
      large: await large.open(),
      policy,
      budget: this.#budget(options),
      sampling: options.sampling ?? {},
      signal,
    });
    try {
      yield* this.#chunks(events, options, () => small.tokenizer.encodeSequence(prompt).length);
    } finally {
      // Ends the run when the client leaves or a stop string was found.
      control.abort();
      await events.return(undefined as never);
    }
  }

  /** A kept cache for the run; closing it puts it back. */
  async #lease(prompt: string): Promise<TextSession> {
    const session = await this.#conversations.take(this.#parts.small.tokenizer.encodeSequence(prompt));
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
    promptTokens: () => number,
  ): AsyncGenerator<EngineChunk> {
    const stops = new StopStrings(options.stop ?? []);
    let tokens = 0;
    let origin: 'small' | 'large' = 'small';
    const usage = (): EngineChunk['usage'] => ({ promptTokens: promptTokens(), completionTokens: tokens });
    for await (const event of events) {
      if (event.type === 'text') {
        tokens += event.tokens;
        origin = event.origin;
        const { text, match } = stops.push(event.text);
        const shown = match !== undefined && options.includeStop ? text + match : text;
        if (shown !== '') yield { text: shown, tokenIds: [], origin };
        if (match !== undefined)
          return yield {
            text: '',
            tokenIds: [],
            origin,
            finishReason: 'stop',
            stopped: match,
            usage: usage()!,
          };
      } else if (event.type === 'end') {
        yield {
          text: stops.flush(),
          tokenIds: [],
          origin,
          ...ending(event.trace),
          usage: usage()!,
          trace: event.trace,
        };
      }
    }
  }
}

function ending({ stopReason, notes }: Trace): Pick<EngineChunk, 'finishReason' | 'notes'> {
  const said = notes.length > 0 ? { notes } : {};
  if (stopReason === 'error') return { finishReason: 'error', ...said };
  const cut = stopReason === 'length' || stopReason === 'context' || stopReason === 'budget';
  return { finishReason: cut ? 'length' : stopReason === 'aborted' ? 'aborted' : 'stop', ...said };
}
