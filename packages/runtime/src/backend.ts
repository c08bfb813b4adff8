// What an execution target has to do, and no more: hold KV caches, take a few tokens at a position, give back what was
// asked about them. ONNX sessions, our own WASM kernels and anything later stand behind this one face. Chunking,
// rollback, token bookkeeping, sampling and text are the Decoder's and the model's work, not a backend's.

/** Execution targets by their stable names (design word list). */
export const TARGETS = [
  'webnn-npu',
  'webnn-gpu',
  'webnn-cpu',
  'webgpu',
  'wasm-simd',
  'wasm',
  'openvino-npu',
  'openvino-gpu',
  'openvino-cpu',
  'ort-cpu',
] as const;

export type TargetId = (typeof TARGETS)[number];

/** What a forward pass must report: nothing, the last position's logits, every position's, or watched columns. */
export type Wanted = 'none' | 'last' | 'all' | { watch: readonly number[] };

/** Log-probabilities of the next token at one position, for watched ids only. */
export interface WatchedRow {
  /** Natural-log probability of each watched id, in the order asked. */
  logprobs: number[];
  argmax: number;
  argmaxLogprob: number;
}

export interface ForwardResult {
  /**
   * Row-major f32 logits: [vocabSize] for 'last', [tokens, vocabSize] for 'all'; for `{watch}` the last row's, or none. May be reused by
   * the next call.
   */
  logits?: Float32Array;
  /** One entry per token for `{watch}`. */
  watched?: WatchedRow[];
}

/** One KV cache. Rows beyond the position of the latest `forward` are dead: rolling back costs nothing. */
export interface Sequence {
  /** Slots in the cache. */
  readonly capacity: number;
  /**
   * Runs `tokens` at slots `position .. position + tokens.length - 1`, attending to slots `0 .. position - 1` and
   * causally to themselves, and overwrites those slots. 1 <= tokens.length <= backend.maxRows.
   * Must leave slots below `position` untouched, also when it throws.
   */
  forward(tokens: readonly number[], position: number, wanted: Wanted): Promise<ForwardResult>;
  /** Moves the live rows into a cache of another compiled capacity; absent where a target has only one. */
  resize?(capacity: number, live: number): Promise<void>;
  /**
   * Drops slots `from .. from + count - 1` of `live` and closes the gap, re-rotating the moved keys by `-count`
   * positions. Absent: the decoder re-ingests the tokens it keeps.
   */
  evict?(from: number, count: number, live: number): Promise<void>;
  close(): Promise<void>;
}

export interface Backend {
  readonly target: TargetId;
  readonly vocabSize: number;
  /** Most tokens one `forward` takes (the prefill chunk). */
  readonly maxRows: number;
  /** Capacities a sequence can have, ascending; at least one. */
  readonly capacities: readonly number[];
  /**
   * Capacities of which the keys are rotated otherwise than those of the next smaller one (scalings that go by the length
   * of the sequence): growing to or past one, the decoder runs its tokens again. Absent: none.
   */
  readonly rotationChanges?: readonly number[];
  /** One token more in a pass takes a small part of what a pass of its own would. Absent: not known to. */
  readonly oneMoreIsCheap?: boolean;
  /** One line for people: provider, threads, bytes of weights held, copies of them. */
  readonly description: string;
  /** A fresh, empty cache with at least `capacity` slots (default: the smallest compiled capacity). */
  createSequence(capacity?: number): Promise<Sequence>;
  close(): Promise<void>;
}

/** Why a backend stopped for good: lost device, crashed worker, failed allocation. The model moves to another target. */
export class BackendLostError extends Error {
  override readonly name = 'BackendLostError';
  readonly target: TargetId;
  /** It only has no memory for more: what it holds is whole, and it goes on at the size it has where nothing else can. */
  readonly stillWorks: boolean;
  constructor(target: TargetId, message: string, options?: ErrorOptions & { stillWorks?: boolean }) {
    super(`${target}: ${message}`, options);
    this.target = target;
    this.stillWorks = options?.stillWorks ?? false;
  }
}
