// One token sequence over one backend cache: prefill in chunks, decode step by step, roll back, grow. It keeps the
// tokens themselves, so that a sequence can be rebuilt on another backend. Knows no text and no ONNX.

import {
  BackendLostError,
  type Backend,
  type ForwardResult,
  type Sequence,
  type Wanted,
  type WatchedRow,
} from './backend.ts';
import { RuntimeError, messageOf, throwIfAborted } from './errors.ts';
import { watch } from './sampling/log-probs.ts';

export interface DecoderOptions {
  /** Slots wanted at once; the cache grows through the backend's capacities beyond it. */
  capacity?: number;
  /** Never grow beyond this many slots. */
  maxCapacity?: number;
  /**
   * What happens when the largest capacity is full: 'stop' throws `context-full`; 'slide' keeps the first `sinks`
   * tokens and the newest ones and drops from the middle (attention sinks: Xiao et al. 2023, arXiv 2309.17453).
   */
  whenFull?: 'stop' | 'slide';
  /** Tokens kept at the front when sliding. Default 4, as in the paper. */
  sinks?: number;
}

export interface IngestResult {
  /** The last token's logits ('last', {watch}): good until the next ingest; or one row per token ('all'), the caller's. */
  logits?: Float32Array;
  watched: WatchedRow[];
}

export class Decoder {
  readonly #options: DecoderOptions & { whenFull: 'stop' | 'slide'; sinks: number };
  readonly #tokens: number[] = [];
  #backend: Backend;
  #sequence: Sequence;
  #lastLogits: Float32Array | null = null;
  #row: Float32Array | null = null;
  /** Cache slots in use: they hold the first tokens, and, after sliding, those behind the dropped ones. */
  #live = 0;
  /** Tokens behind the sinks that are no longer in the cache. */
  #dropped = 0;

  private constructor(backend: Backend, sequence: Sequence, options: DecoderOptions) {
    this.#backend = backend;
    this.#sequence = sequence;
    this.#options = { ...options, whenFull: options.whenFull ?? 'stop', sinks: options.sinks ?? 4 };
  }

  static async create(backend: Backend, options: DecoderOptions = {}): Promise<Decoder> {
    const { capacity } = options;
    return new Decoder(
      backend,
      await room(backend, capacity, () => backend.createSequence(capacity)),
      options,
    );
  }

  get backend(): Backend {
    return this.#backend;
  }

  /** Every token of the sequence, oldest first, those that sliding dropped from the cache included. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  get length(): number {
    return this.#tokens.length;
  }

  /** Slots the cache can grow to. With whenFull 'stop' also the most tokens the sequence can hold. */
  get capacity(): number {
    const { maxCapacity = Infinity } = this.#options;
    const largest = this.#backend.capacities.findLast((c) => c <= maxCapacity) ?? 0;
    return Math.min(maxCapacity, Math.max(largest, this.#sequence.capacity));
  }

  get whenFull(): 'stop' | 'slide' {
    return this.#options.whenFull;
  }

  /** Tokens that sliding has dropped from the cache. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * How long a sequence of `length` tokens can get with its keys rotated as they are: `capacity`, or less where rotation goes by the
   * length. What is only guessed must not go beyond it: the tokens before it would come out otherwise.
   */
  steadyTo(length: number): number {
    const from = this.#fitting(length);
    const next = this.#backend.rotationChanges?.find((c) => from !== undefined && c > from);
    if (next === undefined) return this.capacity;
    return this.#backend.capacities.findLast((c) => c < next)!;
  }

  /**
   * Logits after the newest token, f32 [vocabSize], good until the next ingest; null for an empty sequence, after a rollback,
   * and after an ingest that did not ask for them.
   */
  get lastLogits(): Float32Array | null {
    return this.#lastLogits;
  }

  /**
   * Appends tokens, in chunks of the backend's size. Throws `context-full` before any work if they do not fit. When it
   * throws or is aborted later, the sequence holds the chunks that were done. `ahead`: how many more are sure to follow in
   * calls of their own, so that rotation that goes by the length is that of all.
   */
  async ingest(
    tokens: readonly number[],
    options: { logits?: Wanted; signal?: AbortSignal | undefined; ahead?: number } = {},
  ): Promise<IngestResult> {
    const wanted = options.logits ?? 'none';
    this.#check(tokens);
    await this.#rotateFor(this.#tokens.length + tokens.length + (options.ahead ?? 0));
    await this.#catchUp(options.signal);
    const watched: WatchedRow[] = [];
    const rows: Float32Array[] = [];
    for (let done = 0; done < tokens.length;) {
      throwIfAborted(options.signal);
      const part = tokens.slice(done, done + this.#backend.maxRows);
      done += part.length;
      const ask = wanted === 'last' && done < tokens.length ? 'none' : wanted;
      this.#lastLogits = null;
      const result = await this.#forward(part, ask);
      this.#tokens.push(...part);
      if (result.logits) this.#lastLogits = this.#keep(result.logits);
      if (result.watched) watched.push(...result.watched);
      if (wanted === 'all') rows.push(result.logits!.slice());
    }
    const logits = wanted === 'all' ? join(rows) : this.#lastLogits;
    return logits ? { logits, watched } : { watched };
  }

  /** Appends one token and gives the logits after it, f32 [vocabSize], good until the next ingest. */
  async step(token: number, signal?: AbortSignal): Promise<Float32Array> {
    const { logits } = await this.ingest([token], { logits: 'last', signal });
    return logits!;
  }

  /**
   * Keeps the first `length` tokens. Costs nothing: later rows are dead until they are overwritten. Only rolling back
   * to before what sliding dropped, or to where keys are rotated otherwise, makes the next ingest run tokens again.
   */
  rollback(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.#tokens.length) {
      throw new RuntimeError(
        'bad-input',
        `rollback to ${length}: the sequence holds ${this.#tokens.length} tokens`,
      );
    }
    if (length === this.#tokens.length) return;
    this.#tokens.length = length;
    this.#lastLogits = null;
    if (length >= this.#options.sinks + this.#dropped) {
      this.#live = Math.min(this.#live, length - this.#dropped);
    } else {
      this.#live = Math.min(this.#live, length, this.#dropped > 0 ? this.#options.sinks : length);
      this.#dropped = 0;
    }
  }

  /** Goes on with another backend of the same model; the next ingest runs the tokens again there. */
  async moveTo(backend: Backend): Promise<void> {
    const capacity = backend.capacities.find((c) => c >= this.#live);
    const next = await room(backend, capacity, () => backend.createSequence(capacity));
    this.#backend = backend;
    this.#sequence = next;
    this.#live = 0;
    this.#dropped = 0;
    this.#lastLogits = null;
  }

  async close(): Promise<void> {
    await this.#sequence.close();
  }

  async #forward(part: readonly number[], wanted: Wanted): Promise<ForwardResult> {
    await this.#makeRoom(part.length);
    const result = await this.#sequence.forward(part, this.#live, wanted);
    this.#requireNumbers(result);
    this.#live += part.length;
    return result;
  }

  /** A hidden state that overflowed (in f16) makes a whole row NaN: text would still come out, of the first token over and over. */
  #requireNumbers({ logits, watched }: ForwardResult): void {
    const { target, vocabSize } = this.#backend;
    let wrong = watched?.some((row) => Number.isNaN(row.argmaxLogprob)) ?? false;
    const count = logits?.length ?? 0;
    for (let at = 0; at < count; at += vocabSize) wrong ||= Number.isNaN(logits![at]!);
    if (wrong)
      throw new BackendLostError(
        target,
        'it computed logits that are not numbers, as where hidden values are too large for f16; another target or --boundary f32 may do',
      );
  }

  /** The last row, in memory that serves every pass. */
  #keep(logits: Float32Array): Float32Array {
    const { vocabSize } = this.#backend;
    this.#row ??= new Float32Array(vocabSize);
    this.#row.set(logits.subarray(logits.length - vocabSize));
    return this.#row;
  }

  /** Runs tokens that are in the sequence but not in the cache (after a move, a growth or a deep rollback). */
  async #catchUp(signal: AbortSignal | undefined): Promise<void> {
    while (this.#live + this.#dropped < this.#tokens.length) {
      throwIfAborted(signal);
      const at = this.#live + this.#dropped;
      await this.#forward(this.#tokens.slice(at, at + this.#backend.maxRows), 'none');
    }
  }

  #check(tokens: readonly number[]): void {
    const size = this.#backend.vocabSize;
    const bad = tokens.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= size);
    if (bad >= 0) {
      throw new RuntimeError(
        'bad-input',
        `token ${bad} of ${tokens.length} has id ${tokens[bad]}; ids are 0 to ${size - 1}`,
      );
    }
    if (this.#options.whenFull === 'slide' || this.#tokens.length + tokens.length <= this.capacity) return;
    throw this.#full(tokens.length);
  }

  #full(more: number): RuntimeError {
    return new RuntimeError(
      'context-full',
      `${more} more tokens do not fit: ${this.#tokens.length} of ${this.capacity} slots are used; ` +
        'shorten the text, or compile the model with a larger context',
    );
  }

  /**
   * Where rotation goes by the length, keys become those of a fresh sequence of `length` tokens: all at once, and also on the
   * way back, so that what was in the cache before says nothing of the numbers.
   */
  async #rotateFor(length: number): Promise<void> {
    if (!this.#backend.rotationChanges?.length || this.#dropped > 0) return;
    const next = this.#fitting(length);
    if (next !== undefined && this.#turns(this.#sequence.capacity, next)) await this.#replace(next);
  }

  /** The capacity that a fresh sequence of `length` tokens gets to; undefined where none is allowed. */
  #fitting(length: number): number | undefined {
    const need = Math.min(Math.max(length, this.#options.capacity ?? 0), this.capacity);
    return this.#backend.capacities.find((c) => c >= need && c <= this.capacity);
  }

  /** Whether caches of the two capacities hold keys that are rotated otherwise. */
  #turns(a: number, b: number): boolean {
    const [less, more] = [Math.min(a, b), Math.max(a, b)];
    return this.#backend.rotationChanges?.some((c) => c > less && c <= more) ?? false;
  }

  async #makeRoom(rows: number): Promise<void> {
    const need = this.#live + rows;
    if (need <= this.#sequence.capacity || (await this.#grow(need))) return;
    // A backend that the sequence moved to may have smaller capacities.
    if (this.#options.whenFull === 'stop') throw this.#full(rows);
    await this.#slide(need);
  }

  /** Makes the cache hold `need` slots; false where no capacity does. */
  async #grow(need: number): Promise<boolean> {
    const old = this.#sequence;
    if (need <= old.capacity) return true;
    const larger = this.#backend.capacities.find((c) => c >= need && c <= this.capacity);
    if (larger === undefined) return false;
    if (old.resize && !this.#turns(old.capacity, larger)) {
      await room(this.#backend, larger, () => old.resize!(larger, this.#live));
    } else {
      await this.#replace(larger);
    }
    return true;
  }

  /** Goes on in a new cache, with the tokens run again. */
  async #replace(capacity: number): Promise<void> {
    const old = this.#sequence;
    this.#sequence = await room(this.#backend, capacity, () => this.#backend.createSequence(capacity));
    await old.close();
    await this.#reingest(this.#kept());
  }

  /** Drops half of what lies between the sinks and the end, so that sliding happens once per many tokens. */
  async #slide(need: number): Promise<void> {
    const sinks = this.#options.sinks;
    const drop = Math.max(need - this.#sequence.capacity, Math.floor((this.#live - sinks) / 2));
    if (drop > this.#live - sinks) {
      throw new RuntimeError(
        'context-full',
        `${need - this.#live} tokens at once and ${sinks} sinks exceed ${this.#sequence.capacity} slots`,
      );
    }
    if (this.#sequence.evict) {
      await this.#sequence.evict(sinks, drop, this.#live);
      this.#live -= drop;
      this.#dropped += drop;
    } else {
      const kept = this.#kept().filter((_, slot) => slot < sinks || slot >= sinks + drop);
      this.#dropped += drop;
      await this.#reingest(kept);
    }
  }

  /** The tokens in the cache, by slot. */
  #kept(): number[] {
    const front = this.#dropped > 0 ? this.#options.sinks : 0;
    const end = this.#live + this.#dropped;
    return [...this.#tokens.slice(0, front), ...this.#tokens.slice(front + this.#dropped, end)];
  }

  async #reingest(kept: readonly number[]): Promise<void> {
    const dropped = this.#dropped;
    // Until it is done the cache counts as empty: a failure half-way must leave a state that can be caught up.
    this.#live = 0;
    this.#dropped = 0;
    for (let at = 0; at < kept.length; at += this.#backend.maxRows) {
      await this.#sequence.forward(kept.slice(at, at + this.#backend.maxRows), at, 'none');
    }
    this.#live = kept.length;
    this.#dropped = dropped;
  }
}

/**
 * Runs `allocate`. What fails here fails for want of memory, or because the target refuses a larger graph after it took
 * the smaller one: either way it cannot go on with the sequence, so it counts as lost. What it holds is whole.
 */
async function room<T>(
  backend: Backend,
  capacity: number | undefined,
  allocate: () => Promise<T>,
): Promise<T> {
  try {
    return await allocate();
  } catch (error) {
    const told = error instanceof RuntimeError && (error.code === 'context-full' || error.code === 'closed');
    if (told || error instanceof BackendLostError) throw error;
    const slots = capacity ?? backend.capacities[0];
    throw new BackendLostError(backend.target, `no room for a cache of ${slots} slots: ${messageOf(error)}`, {
      cause: error,
      stillWorks: true,
    });
  }
}

/** Logits for one position reduced to the watched ids; for backends that have no cheaper way. */
export function watchRows(logits: Float32Array, rows: number, ids: readonly number[]): WatchedRow[] {
  const size = logits.length / rows;
  return Array.from({ length: rows }, (_, r) => watch(logits.subarray(r * size, (r + 1) * size), ids));
}

function join(rows: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(rows.reduce((n, r) => n + r.length, 0));
  let at = 0;
  for (const row of rows) {
    out.set(row, at);
    at += row.length;
  }
  return out;
}
