// What answers requests, as the HTTP side sees it: one local model, or a relay of two. The HTTP side knows no models.
import type {
  ChatMessage,
  GenerateOptions,
  RenderOptions,
  TextChunk,
  TokenLogprob,
} from '@baton/runtime/text-model';
import type { Trace } from '@baton/split/trace';
import type { Sessions } from './sessions.ts';

/** A prompt as text, or as token ids of the served model. */
export type Prompt = { text: string } | { ids: readonly number[] };

/** A piece of an answer; in relay mode it says which model wrote it. */
export type EngineChunk = TextChunk & {
  origin?: 'small' | 'large';
  /** The whole run, with a relay's last chunk. */
  trace?: Trace;
};

/** A prompt's own tokens; the first has no log-probability, for nothing precedes it. */
export interface PromptToken {
  id: number;
  text: string;
  logprob: number | null;
  top: readonly TokenLogprob[];
}

export interface EngineInfo {
  id: string;
  /** Execution target or, for a relay, both places. */
  location: string;
  /** Most tokens of prompt and answer together; null where it is not known. */
  contextLength: number | null;
  /** The model's Jinja template, or null. */
  chatTemplate: string | null;
  mode: 'model' | 'relay';
  /** Conversations kept and bytes of cache they hold. */
  caches(): { conversations: number; bytes: number };
}

/** What a relay elsewhere needs of a model here, beside plain generation; absent where two models answer. */
export interface StepwiseEngine {
  readonly sessions: Sessions;
  readonly capacity: number;
  /** Throws 400 for a text that has more tokens than fit, whatever they are; does not tokenise it. */
  refuseEndless(text: string): void;
  encode(text: string): readonly number[];
  renderChat(messages: readonly ChatMessage[], options: RenderOptions): Promise<string>;
}

export interface Engine {
  readonly info: EngineInfo;
  readonly stepwise: StepwiseEngine | null;
  /** Streams a continuation of `prompt`. Throws before the first chunk when the prompt cannot be taken. */
  generate(prompt: Prompt, options: GenerateOptions): AsyncIterable<EngineChunk>;
  /** Streams the answer to a conversation; its last message may be the beginning of the assistant's. */
  chat(messages: readonly ChatMessage[], options: ChatOptions): AsyncIterable<EngineChunk>;
  /** Log-probabilities of the prompt's own tokens, with `top` alternatives each. */
  score(prompt: Prompt, top: number): Promise<PromptToken[]>;
  /** A token's own bytes; undefined where the engine does not know its vocabulary. */
  tokenBytes(id: number): Uint8Array | undefined;
  close(): Promise<void>;
}

export interface ChatOptions extends GenerateOptions, Pick<RenderOptions, 'variables'> {
  /** Go on with the last assistant message instead of answering it. */
  continueFinal: boolean;
}
