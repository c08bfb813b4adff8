// A compiled model that runs in this process (or worker), as a TextModel: sessions, plain generation with a few kept
// caches, scoring, and the move to the next target when one is lost. Which targets exist is the TargetSet's knowledge.

import type { Manifest } from '@baton/compiler';
import { BackendLostError, type Backend, type TargetId } from './backend.ts';
import { Decoder, type DecoderOptions } from './decoder.ts';
import { RuntimeError, messageOf, throwIfAborted } from './errors.ts';
import { Mutex } from './mutex.ts';
import { scoreTokens, type ScoredToken } from './score.ts';
import { LocalSession, commonPrefix, type SessionOptions } from './session.ts';
import type {
  ChatMessage,
  GenerateOptions,
  RenderOptions,
  TextChunk,
  TextModel,
  TextModelCapabilities,
} from './text-model.ts';
import { GrowingText } from './text/growing-text.ts';
import type { ModelText } from './text/load-tokenizer.ts';
import type { Tokenizer } from './text/tokenizer.ts';

export interface LocalModelParts {
  manifest: Manifest;
  text: ModelText;
  backend: Backend;
  /**
   * Opens the model on the next target after `lost` failed; throws when there is none left. Absent: a BackendLostError
   * reaches the caller as it is, who then moves on himself (a page that throws the worker away).
   */
  next?: (lost: TargetId) => Promise<Backend>;
  decoder?: DecoderOptions;
  session?: SessionOptions;
  /** Caches kept for `generate`, so that a prompt that continues an earlier one is not run again. Default 2. */
  keptCaches?: number;
}

export class LocalModel implements TextModel {
  readonly capabilities: TextModelCapabilities = {
    logprobs: true,
    sessions: true,
    rawCompletion: true,
    billed: false,
  };
  readonly manifest: Manifest;
  readonly #parts: LocalModelParts;
  readonly #stopIds: ReadonlySet<number>;
  readonly #decoders = new Set<Decoder>();
  readonly #moving = new Mutex();
  #backend: Backend;
  #idle: LocalSession[] = [];
  #prompts: GrowingText | null = null;
  /** Requests of one token at most under way: what they read is worth waiting for. */
  readonly #warming = new Set<{ ids: readonly number[]; back: Promise<void> }>();
  #closed = false;

  constructor(parts: LocalModelParts) {
    this.#parts = parts;
    this.#backend = parts.backend;
    this.manifest = parts.manifest;
    this.#stopIds = new Set(parts.manifest.stopIds);
  }

  get id(): string {
    return this.manifest.id;
  }

  /** Throws `bad-tokenizer` for a model without one, which can score ids but knows no text. */
  get tokenizer(): Tokenizer {
    const { tokenizer } = this.#parts.text;
    if (tokenizer) return tokenizer;
    throw new RuntimeError(
      'bad-tokenizer',
      `${this.id}: there is no tokenizer.json in the model; compile from a checkpoint that has one, or give token ids`,
    );
  }

  get hasTokenizer(): boolean {
    return this.#parts.text.tokenizer !== null;
  }

  /** The execution target in use; changes when one is lost. */
  get location(): TargetId {
    return this.#backend.target;
  }

  get backend(): Backend {
    return this.#backend;
  }

  async renderChat(messages: readonly ChatMessage[], options: RenderOptions = {}): Promise<string> {
    const { template } = this.#parts.text;
    if (!template) throw new RuntimeError('bad-input', `${this.id} has no chat template; use raw completion`);
    return template.render(messages, options);
  }

  async openSession(): Promise<LocalSession> {
    return this.#newSession();
  }

  /** Continues `prompt`; throws `context-full` before the first chunk when it does not fit. */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    this.#prompts ??= new GrowingText(this.tokenizer);
    const ids = this.tokenizer.encodeSequence(prompt, this.#prompts.encode(prompt));
    const warm = this.#untilWarm(ids);
    if ((options.maxTokens ?? Infinity) > 1) {
      await warm;
      return yield* this.#write(prompt, ids, options);
    }
    const back = Promise.withResolvers<void>();
    const warming = { ids, back: back.promise };
    this.#warming.add(warming);
    const chunks: TextChunk[] = [];
    try {
      await warm;
      // Read to its end at once: a reader that dawdles must not keep others from the cache.
      for await (const chunk of this.#write(prompt, ids, options)) chunks.push(chunk);
    } finally {
      this.#warming.delete(warming);
      back.resolve();
    }
    yield* chunks;
  }

  async *#write(prompt: string, ids: readonly number[], options: GenerateOptions): AsyncGenerator<TextChunk> {
    throwIfAborted(options.signal);
    const session = await this.#take(ids);
    try {
      const signal = options.signal ? { signal: options.signal } : {};
      const { kept, notes } = await session.sync(prompt, signal);
      for await (const chunk of session.generate(options)) {
        if (chunk.usage) chunk.usage.cachedTokens = kept;
        yield notes && chunk.finishReason ? { ...chunk, notes: [...notes, ...(chunk.notes ?? [])] } : chunk;
      }
    } finally {
      await this.#giveBack(session);
    }
  }

  /** Log-probability of every token of `input` given those before it, and the `top` likeliest at each place. */
  async score(input: { text: string } | { ids: readonly number[] }, top = 0): Promise<ScoredToken[]> {
    const ids = 'ids' in input ? input.ids : this.tokenizer.encodeSequence(input.text);
    return this.#withDecoder((decoder) => this.#guard(() => scoreTokens(decoder, ids, top)));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.#idle.map((s) => s.close()));
    this.#idle = [];
    await this.#backend.close();
  }

  async #newSession(): Promise<LocalSession> {
    const { tokenizer } = this;
    const decoder = await this.#newDecoder();
    const notes: string[] = [];
    return new LocalSession({
      decoder,
      tokenizer,
      stopIds: this.#stopIds,
      ...this.#parts.session,
      guard: (work) => this.#guard(work, (note) => notes.push(note)),
      takeNotes: () => notes.splice(0),
      onClose: () => this.#dropDecoder(decoder),
    });
  }

  async #newDecoder(): Promise<Decoder> {
    for (;;) {
      if (this.#closed) throw new RuntimeError('closed', `${this.id} is closed`);
      const decoder = await this.#guard(() => Decoder.create(this.#backend, this.#parts.decoder));
      if (decoder.backend === this.#backend) {
        this.#decoders.add(decoder);
        return decoder;
      }
      // The model moved to another target meanwhile.
      await decoder.close().catch(() => undefined);
    }
  }

  async #dropDecoder(decoder: Decoder): Promise<void> {
    this.#decoders.delete(decoder);
    await decoder.close();
  }

  async #withDecoder<T>(work: (decoder: Decoder) => Promise<T>): Promise<T> {
    const decoder = await this.#newDecoder();
    try {
      return await work(decoder);
    } finally {
      await this.#dropDecoder(decoder);
    }
  }

  /**
   * Waits for requests of one token at most that put the beginning of this prompt into a cache: what they do would be done again beside
   * them. A withdrawn one ends with its chunk, and the prompt goes on from there.
   */
  async #untilWarm(ids: readonly number[]): Promise<void> {
    const idle = Math.max(0, ...this.#idle.map((session) => commonPrefix(session.tokens, ids)));
    const ahead = [...this.#warming].filter((one) => commonPrefix(one.ids, ids) > idle);
    await Promise.all(ahead.map(({ back }) => back));
  }

  /** The kept cache that shares the longest beginning with the prompt, else a new one. */
  async #take(ids: readonly number[]): Promise<LocalSession> {
    let best = -1;
    let shared = 0;
    this.#idle.forEach((session, i) => {
      const common = commonPrefix(session.tokens, ids);
      if (common > shared) [best, shared] = [i, common];
    });
    if (best < 0 && this.#idle.length >= (this.#parts.keptCaches ?? 2)) best = 0;
    return best < 0 ? this.#newSession() : this.#idle.splice(best, 1)[0]!;
  }

  async #giveBack(session: LocalSession): Promise<void> {
    this.#idle.push(session);
    if (this.#closed || this.#idle.length > (this.#parts.keptCaches ?? 2)) await this.#idle.shift()!.close();
  }

  /** Runs cache work; if the target is lost meanwhile, moves every sequence to the next one and runs it again. */
  async #guard<T>(work: () => Promise<T>, note?: (line: string) => void): Promise<T> {
    for (;;) {
      const used = this.#backend;
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof BackendLostError) || !this.#parts.next || this.#closed) throw error;
        await this.#moving.run(() => this.#move(used, error));
        note?.(`${error.message}; went on with ${this.#backend.target}`);
      }
    }
  }

  async #move(lost: Backend, error: BackendLostError): Promise<void> {
    // Another session may have moved everything already.
    if (this.#backend !== lost) return;
    for (let leaving = lost.target; ;) {
      let next: Backend;
      try {
        next = await this.#parts.next!(leaving);
      } catch (cause) {
        throw await this.#stuck(lost, error, cause);
      }
      try {
        for (const decoder of this.#decoders) await decoder.moveTo(next);
        this.#backend = next;
        await lost.close().catch(() => undefined);
        return;
      } catch (cause) {
        if (!(cause instanceof BackendLostError)) throw cause;
        // No room there for what is held here.
        await next.close().catch(() => undefined);
        leaving = next.target;
      }
    }
  }

  /** What to say where no other target takes over. One that only has no room for more goes on at the size it has. */
  async #stuck(lost: Backend, error: BackendLostError, cause: unknown): Promise<RuntimeError> {
    if (!error.stillWorks) {
      return new RuntimeError(
        'target-unavailable',
        `${error.message}, and no other target took over: ${messageOf(cause)}`,
        { cause },
      );
    }
    for (const decoder of this.#decoders) if (decoder.backend !== lost) await decoder.moveTo(lost);
    return new RuntimeError(
      'context-full',
      `${error.message}, and no other target has room: ${messageOf(cause)}`,
      { cause },
    );
  }
}
