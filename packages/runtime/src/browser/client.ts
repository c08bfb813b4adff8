// The page's side: a TextModel whose work is done in a module worker. It owns what must survive a worker: which target
// comes next and the text of every session, so that a lost device or a crash is a note in the stream, not its end.

import type { Manifest } from '@baton/compiler';
import { BackendLostError, type TargetId } from '../backend.ts';
import type { DecoderOptions } from '../decoder.ts';
import { RuntimeError, messageOf, throwIfAborted } from '../errors.ts';
import { speedScore } from '../measure.ts';
import { Mutex } from '../mutex.ts';
import type {
  ChatMessage,
  GenerateOptions,
  RenderOptions,
  TextChunk,
  TextModel,
  TextModelCapabilities,
} from '../text-model.ts';
import { isFinal, noneLeft, openFastest, type Attempt } from './fastest.ts';
import type { ModelSource } from './model-source.ts';
import { OPEN_AGAIN } from './open-again.ts';
import { BROWSER_TARGETS } from './targets.ts';
import { GRACE_MS, WorkerConnection } from './worker-connection.ts';
import type { OpenedModel, Progress } from './worker-face.ts';
import { WorkerSession } from './worker-session.ts';

export interface OpenWorkerOptions extends DecoderOptions {
  /**
   * One target: used or refused with the reason. 'auto' or absent: the fastest of `order` here by a short measurement,
   * remembered per model and browser.
   */
  target?: TargetId | 'auto' | undefined;
  /**
   * With 'auto' and nothing remembered. 'before' (default): all targets are measured before the model is ready.
   * 'after': a target that opens within a second or so is used at once, the others are measured between runs, and
   * `measured` says which to open next time.
   */
  measure?: 'before' | 'after';
  /** Targets to choose from, and to go on with after a loss. Default: BROWSER_TARGETS. */
  order?: readonly TargetId[];
  /** Go on with the next target when one is lost. Default true. */
  fallback?: boolean;
  lookup?: number;
  /**
   * Milliseconds without a sign of life after which a target that is being opened is given up; five times that in any
   * case. Default 180 000.
   */
  patienceMs?: number;
  onProgress?: (progress: Progress) => void;
  /**
   * Cancels the opening: downloads and compilations stop, workers end, and the opening rejects with an AbortError. What was
   * downloaded is kept, so that another opening goes on from there. Says nothing once the model is open.
   */
  signal?: AbortSignal | undefined;
}

/**
 * Opens a model in a worker of its own. Throws `target-unavailable`, `target-refused`, `bad-model`, `bad-tokenizer`, `store`, or
 * an AbortError.
 */
export async function openWorkerModel(
  source: ModelSource,
  options: OpenWorkerOptions = {},
): Promise<WorkerModel> {
  const model = new WorkerModel(source, options);
  try {
    await model.start();
    throwIfAborted(options.signal);
  } catch (error) {
    // Nothing goes on behind a failure: no other target is opened to be measured.
    await model.close();
    throw error;
  }
  return model;
}

export class WorkerModel implements TextModel {
  readonly #source: ModelSource;
  readonly #options: OpenWorkerOptions;
  /** Notes of targets that were lost outside of a run. */
  readonly untold: string[] = [];
  readonly #failed = new Map<TargetId, string>();
  readonly #starting = new Mutex();
  readonly #turn = new Mutex();
  #connection: WorkerConnection | null = null;
  /** Every worker that runs, also those that are being opened or measured. */
  readonly #live = new Set<WorkerConnection>();
  #opened: OpenedModel | null = null;
  #measured: Promise<TargetId> | null = null;
  #closed = false;

  constructor(source: ModelSource, options: OpenWorkerOptions) {
    this.#source = source;
    this.#options = options;
  }

  get id(): string {
    return this.#model().manifest.id;
  }

  /** The execution target in use; changes when one is lost. */
  get location(): TargetId {
    return this.#model().target;
  }

  get manifest(): Manifest {
    return this.#model().manifest;
  }

  get capabilities(): TextModelCapabilities {
    return this.#model().capabilities;
  }

  /** One line for people: provider, build, threads. */
  get description(): string {
    return this.#model().description;
  }

  /** Targets that were tried and failed here, with the reason. */
  get failures(): ReadonlyMap<TargetId, string> {
    return this.#failed;
  }

  /** The fastest target here, once it is known; it is what 'auto' opens next time. */
  get measured(): Promise<TargetId> {
    return this.#measured ?? Promise.resolve(this.location);
  }

  async renderChat(messages: readonly ChatMessage[], options: RenderOptions = {}): Promise<string> {
    return this.carried((connection) => connection.call(connection.remote.renderChat(messages, options)));
  }

  async openSession(): Promise<WorkerSession> {
    const session = new WorkerSession(this);
    // The worker may have been lost since the last run.
    await this.carried(() => session.attach());
    return session;
  }

  /** Runs `work`; when the worker is lost, again on the next target, which the next run's notes then tell. */
  async carried<T>(work: (connection: WorkerConnection) => Promise<T>): Promise<T> {
    for (;;) {
      const connection = await this.start();
      try {
        return await work(connection);
      } catch (error) {
        if (!(error instanceof BackendLostError)) throw error;
        this.untold.push((await this.replace(connection, error)).note);
      }
    }
  }

  /** As TextModel.generate; one run at a time, later calls wait. A lost target is replaced and noted in the stream. */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    const session = await this.openSession();
    try {
      const { kept, notes } = await session.sync(prompt, options.signal ? { signal: options.signal } : {});
      for await (const { watched: _unused, ...chunk } of session.generate(options)) {
        if (chunk.usage) chunk.usage.cachedTokens = kept;
        yield notes && chunk.finishReason ? { ...chunk, notes: [...notes, ...(chunk.notes ?? [])] } : chunk;
      }
    } finally {
      await session.close();
    }
  }

  /** Runs that use the worker take turns. */
  exclusive(): Promise<() => void> {
    return this.#turn.acquire();
  }

  /** The live connection; opens the model on the next target where there is none. */
  start(): Promise<WorkerConnection> {
    return this.#starting.run(async () => {
      if (this.#closed) throw new RuntimeError('closed', 'this model is closed; open it again');
      return (this.#connection ??= await this.#openNext());
    });
  }

  /** Gives up `connection` after `error`, and connects to the next target. The one-line note says what happened. */
  async replace(
    connection: WorkerConnection,
    error: BackendLostError,
  ): Promise<{ connection: WorkerConnection; note: string }> {
    if (error.stillWorks) return this.#outgrow(connection, error);
    if (this.#connection === connection) {
      connection.kill(error.message);
      this.#failed.set(connection.target, error.message);
      this.#connection = null;
      if (this.#options.fallback === false || this.#closed) throw error;
    }
    const next = await this.start();
    return { connection: next, note: `${error.message}; went on with ${next.target}` };
  }

  /** Moves on for want of room; the old worker is ended when another has taken over, and kept where none does. */
  async #outgrow(
    connection: WorkerConnection,
    error: BackendLostError,
  ): Promise<{ connection: WorkerConnection; note: string }> {
    await this.#starting.run(async () => {
      if (this.#connection !== connection) return;
      this.#failed.set(connection.target, error.message);
      try {
        if (this.#options.fallback === false || this.#closed) throw error;
        this.#connection = await this.#openNext();
      } catch (cause) {
        this.#failed.delete(connection.target);
        throw new RuntimeError('context-full', `${error.message}, and no other target has room`, { cause });
      }
      connection.kill(error.message);
    });
    const next = await this.start();
    return { connection: next, note: `${error.message}; went on with ${next.target}` };
  }

  /** Ends the worker as a crash would. For fault tests and for a page that must free memory at once. */
  kill(reason: string): void {
    this.#connection?.kill(reason);
  }

  /** Ends every worker, also those that are being opened or measured; the one in use closes its files before, within three seconds. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const connection = this.#connection;
    for (const other of this.#live) if (other !== connection) other.kill(CLOSED);
    if (!connection) return;
    const patience = setTimeout(() => connection.kill(CLOSED), GRACE_MS);
    await connection.call(connection.remote.close()).catch(() => undefined);
    clearTimeout(patience);
    connection.kill(CLOSED);
  }

  /** A short measurement, never beside a run: both would be slower than they are. */
  async #speed(connection: WorkerConnection): Promise<number> {
    const release = await this.exclusive();
    try {
      return speedScore(await connection.call(connection.remote.measure()));
    } finally {
      release();
    }
  }

  #model(): OpenedModel {
    if (!this.#opened) throw new RuntimeError('closed', 'the model is not open yet');
    return this.#opened;
  }

  async #openNext(): Promise<WorkerConnection> {
    const { target = 'auto', order = BROWSER_TARGETS } = this.#options;
    if (target === 'auto' && !this.#opened) {
      const found = await openFastest({
        order,
        name: modelName(this.#source),
        quickly: this.#options.measure === 'after',
        attempt: async (candidate) => {
          // A candidate is not opened beside a run, which would share its cores.
          (await this.exclusive())();
          // What is opened only to be measured is no progress that anybody waits for.
          return this.#attempt(candidate, this.#opened !== null);
        },
        measure: (connection) => this.#speed(connection),
      });
      const note = (): void => found.failed.forEach((reason, id) => this.#failed.set(id, reason));
      note();
      this.#opened = found.opened;
      if (found.measureRest) {
        this.#measured = found.measureRest().finally(note);
        this.#measured.catch(() => undefined);
      }
      return found.connection;
    }
    // A target that was asked for by name comes first; after it is lost, the order decides.
    const candidates = target !== 'auto' && !this.#opened ? [target] : order;
    let cause: unknown;
    for (const candidate of candidates) {
      if (this.#failed.has(candidate)) continue;
      try {
        const { connection, opened } = await this.#attempt(candidate);
        this.#opened = opened;
        return connection;
      } catch (error) {
        cause = error;
        if (isFinal(error)) throw error;
        this.#failed.set(candidate, messageOf(error));
      }
    }
    if (candidates.length === 1 && cause instanceof Error) throw cause;
    throw noneLeft(this.#failed, cause);
  }

  /** Once more where a fresh worker may do better. */
  async #attempt(target: TargetId, quietly = false): Promise<Attempt> {
    try {
      return await this.#open(target, quietly);
    } catch (error) {
      if (!messageOf(error).includes(OPEN_AGAIN)) throw error;
      return this.#open(target, quietly);
    }
  }

  /** Opens the model in a fresh worker: one whose target failed may hang or hold a broken ONNX Runtime instance. */
  async #open(target: TargetId, quietly: boolean): Promise<Attempt> {
    if (this.#closed) throw new RuntimeError('closed', 'this model is closed; open it again');
    const { onProgress = () => undefined, lookup, capacity, maxCapacity, whenFull, sinks } = this.#options;
    const { patienceMs = 180_000 } = this.#options;
    const signal = this.#opened ? undefined : this.#options.signal;
    if (signal?.aborted) throw new DOMException('the opening was cancelled', 'AbortError');
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      type: 'module',
      name: `baton ${target}`,
    });
    const connection = new WorkerConnection(target, worker, () => this.#live.delete(connection));
    this.#live.add(connection);
    try {
      const decoder = Object.fromEntries(
        Object.entries({ capacity, maxCapacity, whenFull, sinks }).filter(([, v]) => v !== undefined),
      );
      const opened = await connection.open(
        this.#source,
        { decoder, session: lookup === undefined ? {} : { lookup }, patienceMs },
        quietly ? () => undefined : onProgress,
        patienceMs,
        signal,
      );
      return { connection, opened };
    } catch (error) {
      connection.kill('it was not needed any more');
      throw error;
    }
  }
}

const CLOSED = 'the model was closed';

/** Names a source for remembering what was measured with it. */
function modelName(source: ModelSource): string {
  return JSON.stringify(source);
}
