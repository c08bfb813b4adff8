// One local model behind the endpoint: prompts as text or ids, kept conversations, scoring. Generates through the
// runtime's sessions and computes nothing itself.
import type { LocalModel } from '@baton/runtime';
import type { ChatMessage, GenerateOptions } from '@baton/runtime/text-model';
import { ApiError } from '../api-error.ts';
import { renderConversation } from './chat-prompt.ts';
import { Conversations, type ConversationLimits } from './conversations.ts';
import type {
  ChatOptions,
  Engine,
  EngineChunk,
  EngineInfo,
  Prompt,
  PromptToken,
  StepwiseEngine,
} from './engine.ts';
import { FewestTokens } from './fewest-tokens.ts';
import { Sessions } from './sessions.ts';

/** Most texts that fit have no more bytes a token. They are tokenised at once, which needs no table of the vocabulary. */
const SHORT_BYTES = 4;

export class ModelEngine implements Engine {
  readonly info: EngineInfo;
  readonly stepwise: StepwiseEngine;
  readonly #model: LocalModel;
  readonly #conversations: Conversations;
  readonly #capacity: number;
  readonly #fewest: FewestTokens;

  constructor(model: LocalModel, limits: ConversationLimits, chatTemplate: string | null) {
    this.#model = model;
    this.#capacity = model.manifest.capacities.at(-1)!;
    this.#fewest = new FewestTokens(model.tokenizer);
    this.#conversations = new Conversations(model, limits);
    this.info = {
      id: model.id,
      get location() {
        return model.location;
      },
      contextLength: this.#capacity,
      chatTemplate,
      mode: 'model',
      caches: () => this.#conversations.usage,
    };
    this.stepwise = {
      sessions: new Sessions(this.#conversations),
      capacity: this.#capacity,
      refuseEndless: (text) => this.#refuseEndless(text),
      encode: (text) => {
        this.#refuseEndless(text);
        return model.tokenizer.encode(text);
      },
      renderChat: (messages, options) => model.renderChat(messages, options),
    };
  }

  /** Requests that may run at once without going over the memory limit. */
  get room(): number {
    return this.#conversations.room;
  }

  async *generate(prompt: Prompt, options: GenerateOptions): AsyncGenerator<EngineChunk> {
    const ids = this.#idsOf(prompt);
    const signal = options.signal ? { signal: options.signal } : {};
    const brief = (options.maxTokens ?? Infinity) <= 1;
    const session = await this.#conversations.take(ids, { brief, ...signal });
    let broken = true;
    try {
      const { kept } = await ('ids' in prompt
        ? session.syncTokens(ids, signal)
        : session.sync(prompt.text, signal));
      for await (const chunk of session.generate(options)) {
        if (chunk.usage) chunk.usage.cachedTokens = kept;
        // A client that leaves ends the iteration here: what the session holds is still whole.
        broken = false;
        yield chunk;
      }
      broken = false;
    } catch (error) {
      // A refused prompt or an abort leaves the cache whole as well.
      broken = !isHarmless(error);
      throw error;
    } finally {
      await this.#conversations.giveBack(session, broken);
    }
  }

  async *chat(messages: readonly ChatMessage[], options: ChatOptions): AsyncGenerator<EngineChunk> {
    const { continueFinal, variables = {}, ...rest } = options;
    const text = await renderConversation(this.#model, messages, continueFinal, { variables });
    yield* this.generate({ text }, rest);
  }

  async score(prompt: Prompt, top: number): Promise<PromptToken[]> {
    const { tokenizer } = this.#model;
    const scored = await this.#model.score({ ids: this.#idsOf(prompt) }, top);
    return scored.map(({ id, logprob, top }) => ({
      id,
      text: tokenizer.tokenText(id),
      logprob,
      top: top.map((t) => ({ ...t, text: tokenizer.tokenText(t.id) })),
    }));
  }

  tokenBytes(id: number): Uint8Array | undefined {
    return this.#model.tokenizer.bytes.at(id);
  }

  async close(): Promise<void> {
    await this.stepwise.sessions.closeAll();
    await this.#conversations.close();
    await this.#model.close();
  }

  /** Throws 400 for a prompt that does not fit, before it costs anything. */
  #idsOf(prompt: Prompt): readonly number[] {
    if ('text' in prompt) this.#refuseEndless(prompt.text);
    const ids = 'ids' in prompt ? this.#known(prompt.ids) : this.#model.tokenizer.encodeSequence(prompt.text);
    if (ids.length > this.#capacity) throw this.#tooLong(String(ids.length));
    return ids;
  }

  /** Throws 400 for a text that has more tokens than fit, whatever they are. */
  #refuseEndless(text: string): void {
    if (Buffer.byteLength(text) <= SHORT_BYTES * this.#capacity) return;
    const fewest = this.#fewest.of(text);
    if (fewest > this.#capacity) throw this.#tooLong(`${fewest} or more`);
  }

  #tooLong(tokens: string): ApiError {
    return new ApiError(
      400,
      `the text has ${tokens} tokens and the model’s context holds ${this.#capacity}; shorten the text`,
      { code: 'context_length_exceeded' },
    );
  }

  /** Throws 400 naming the first id that the vocabulary lacks. */
  #known(ids: readonly number[]): readonly number[] {
    const bad = ids.findIndex((id) => this.#model.tokenizer.bytes.at(id) === undefined);
    if (bad < 0) return ids;
    throw new ApiError(400, `prompt: token ${bad} has id ${ids[bad]}, which the vocabulary lacks`, {
      param: 'prompt',
    });
  }
}

function isHarmless(error: unknown): boolean {
  if (error instanceof ApiError) return true;
  if (!(error instanceof Error)) return false;
  const code = (error as { code?: unknown }).code;
  return error.name === 'AbortError' || code === 'context-full' || code === 'bad-input';
}
