// The one interface through which anything that writes text is seen: a compiled model in this process, one in a
// worker, one behind the bridge, or a remote endpoint. The relay knows nothing else of a model. Everything is
// asynchronous and structured-cloneable so that the same face works across a worker boundary.

/** How the next token is chosen. Absent fields mean "off"; `temperature` 0 or absent is greedy. */
export interface Sampling {
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  repetitionPenalty?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  /** Token id -> value added to its logit; -Infinity bans the token. */
  logitBias?: Readonly<Record<number, number>>;
  /** Same seed, same text, on one execution target. */
  seed?: number;
}

export interface GenerateOptions {
  maxTokens?: number;
  /** Generation ends before any of these strings; the string itself is not part of the text unless `includeStop`. */
  stop?: readonly string[];
  includeStop?: boolean;
  sampling?: Sampling;
  /** Alternatives to report per generated token (0 = only the chosen token's log-probability). */
  topLogprobs?: number;
  signal?: AbortSignal;
}

export interface TokenLogprob {
  id: number;
  /** The token's own text; may hold U+FFFD where a token ends inside a character. Never rebuild text from these. */
  text: string;
  /** Natural-log probability of the token under the model, before temperature and filters. */
  logprob: number;
}

/** Why a generation ended. */
export type FinishReason = 'stop' | 'length' | 'context' | 'aborted' | 'error';

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  /** Prompt tokens served from a prefix cache, where the model reports it. */
  cachedTokens?: number;
}

/** One piece of a streamed generation. Joining every `text` gives exactly the generated text. */
export interface TextChunk {
  text: string;
  tokenIds: readonly number[];
  logprobs?: readonly (TokenLogprob & { top?: readonly TokenLogprob[] })[];
  /** Set on the last chunk only. */
  finishReason?: FinishReason;
  /** The stop string or the end-of-text token that ended it, when finishReason is 'stop'. */
  stopped?: string;
  usage?: Usage;
  /** Things a person should know, one line each: a lost device and where the run went on. */
  notes?: readonly string[];
}

export interface TextModelCapabilities {
  /** Log-probabilities of generated tokens. */
  logprobs: boolean;
  /** `openSession` exists: the cache can be fed, scored and rolled back token by token. */
  sessions: boolean;
  /** Continues any raw text, mid-thought included. False: only whole chat turns. */
  rawCompletion: boolean;
  /** Billed input: keep-warm requests are then off by default. */
  billed: boolean;
  /** Requests at once; more wait for each other. Absent: no limit is known. */
  concurrency?: number;
}

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface RenderOptions {
  /** End where the assistant begins to write. Default: true. */
  addGenerationPrompt?: boolean;
  /** What the template reads besides the messages, such as Qwen3's `enable_thinking`: any JSON. */
  variables?: Readonly<Record<string, unknown>>;
}

export interface TextModel {
  readonly id: string;
  /** Where it runs, e.g. an execution target such as "wasm", or the endpoint's URL. */
  readonly location: string;
  readonly capabilities: TextModelCapabilities;
  /** Streams a continuation of the raw text `prompt`. Throws before the first chunk if the prompt does not fit. */
  generate(prompt: string, options?: GenerateOptions): AsyncIterable<TextChunk>;
  /** Renders messages with the model's chat template, ready for `generate`; absent where the template is unknown. */
  renderChat?(messages: readonly ChatMessage[], options?: RenderOptions): Promise<string>;
  /** A stateful sequence over the model's KV cache; present when `capabilities.sessions`. */
  openSession?(): Promise<TextSession>;
  close?(): Promise<void>;
}

/** What the model predicts at one position of ingested text, for the watched tokens only. */
export interface WatchedPosition {
  /** Length in UTF-16 units of the session text up to and including this token, or -1 inside a character. */
  textLength: number;
  /** Natural-log probability of each watched id as the NEXT token, in the order asked. */
  logprobs: readonly number[];
  /** The model's most likely next token, and its log-probability. */
  argmax: number;
  argmaxLogprob: number;
}

export interface SyncResult {
  /** Tokens of the old sequence that were kept (the common prefix after re-tokenisation). */
  kept: number;
  /** Tokens newly ingested. */
  ingested: number;
  /** One entry per newly ingested token when `watch` was given, oldest first. */
  watched: readonly WatchedPosition[];
  /** Tokens written only to answer `watch`, by a model that cannot tell in another way. */
  probed?: number;
  notes?: readonly string[];
}

/** What `sync` is asked besides the text; TextSession.sync says what each means. */
export interface SyncOptions {
  watch?: readonly number[];
  likely?: string;
  signal?: AbortSignal;
}

/** One conversation's KV cache, addressed by text. One call runs at a time. */
export interface TextSession {
  /** Ids of a string as they would be tokenised on their own, special tokens recognised. */
  encode(text: string): Promise<readonly number[]>;
  /**
   * Every id whose token ends in a beginning of `text`, or in all of it: what the first token of `text` can be, however it is
   * tokenised. `lead` is what the token holds in front of that, `covers` how many characters of `text`. Absent where the vocabulary is not at hand.
   */
  beginnings?(text: string): Promise<readonly { id: number; lead: string; covers: number }[]>;
  /**
   * Makes the session hold exactly `text`: re-tokenises it, rolls the cache back to the common token prefix, ingests
   * the rest in chunks. `watch` asks for the log-probabilities of those ids at every newly ingested position. `likely` is text that is
   * likely to follow: where it is one token and a pass over one more costs next to nothing, it is read as well, and a `sync` that has it
   * at its end is then done at once. The session does not hold it.
   */
  sync(text: string, options?: SyncOptions): Promise<SyncResult>;
  /**
   * Generates from the current end; the generated tokens stay in the session. `watched` of a chunk is the position its
   * token was drawn from (its `textLength` ends before that token).
   */
  generate(
    options?: GenerateOptions & { watch?: readonly number[] },
  ): AsyncIterable<TextChunk & { watched?: readonly WatchedPosition[] }>;
  /** Number of tokens held and the most that fit. */
  state(): Promise<{ tokens: number; capacity: number; text: string }>;
  close(): Promise<void>;
}
