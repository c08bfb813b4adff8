// One worker and the calls to it: starts it, notices when it dies, and makes every call in flight fail then instead of
// waiting for ever.

import * as Comlink from 'comlink';
import { BackendLostError, type TargetId } from '../backend.ts';
import { RuntimeError, throwIfAborted } from '../errors.ts';
import { Loss } from '../loss.ts';
import type { SyncOptions, SyncResult } from '../text-model.ts';
import type { SessionChunk } from '../session.ts';
import type { ModelSource } from './model-source.ts';
import {
  OPENING,
  type ModelWorker,
  type OpenedModel,
  type Progress,
  type WireGenerateOptions,
  type WorkerOpenOptions,
} from './worker-face.ts';
import { unpackRows } from './packed-rows.ts';
import { receiveStream, unwrap, type Reply } from './wire.ts';

/** How long a worker may take to close its files before it is ended. */
export const GRACE_MS = 3000;

export class WorkerConnection {
  readonly target: TargetId;
  readonly remote: Comlink.Remote<ModelWorker>;
  readonly #worker: Worker;
  readonly #loss = new Loss();
  readonly #ended: () => void;

  /** `ended` is called when the worker is ended or lost. */
  constructor(target: TargetId, worker: Worker, ended: () => void) {
    this.target = target;
    this.#ended = ended;
    this.#worker = worker;
    this.remote = Comlink.wrap<ModelWorker>(worker);
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.kill(`the worker failed: ${event.message || 'it could not be loaded'}`);
    });
    worker.addEventListener('messageerror', () => this.kill('a message from the worker could not be read'));
  }

  /** Ends the worker; every call in flight rejects with a BackendLostError. */
  kill(reason: string): void {
    this.#worker.terminate();
    this.#ended();
    this.#loss.happened(new BackendLostError(this.target, reason));
  }

  /** The value of a reply, its error thrown, or the loss of the worker. */
  async call<T>(replying: Promise<Reply<T>>): Promise<T> {
    return unwrap(await this.#loss.before(replying));
  }

  async open(
    source: ModelSource,
    options: WorkerOpenOptions,
    onProgress: (p: Progress) => void,
    patienceMs: number,
    signal?: AbortSignal,
  ): Promise<OpenedModel> {
    const late = Promise.withResolvers<never>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let opening = false;
    const { port1, port2 } = new MessageChannel();
    const cancelled = (): void => late.reject(new DOMException('the opening was cancelled', 'AbortError'));
    let grace: ReturnType<typeof setTimeout> | undefined;
    const abort = (): void => {
      port1.postMessage('abort');
      // What was downloaded is closed first, so that another opening goes on from there; a target that opens has nothing to close.
      grace = setTimeout(cancelled, opening ? 0 : GRACE_MS);
    };
    signal?.addEventListener('abort', abort);
    // From the moment the files are there: a slow download is no fault of the target.
    const watched = (progress: Progress): void => {
      clearTimeout(timer);
      if (progress.stage.startsWith(OPENING)) {
        opening = true;
        timer = setTimeout(
          () =>
            late.reject(
              new RuntimeError(
                'target-refused',
                `${this.target} did not answer in ${patienceMs / 1000} s while ${progress.stage}`,
              ),
            ),
          patienceMs,
        );
      }
      onProgress(progress);
    };
    try {
      const opened = this.call(
        this.remote.open(
          source,
          this.target,
          options,
          Comlink.proxy(watched),
          Comlink.transfer(port2, [port2]),
        ),
      );
      const model = await Promise.race([opened, late.promise]);
      throwIfAborted(signal);
      return model;
    } catch (error) {
      // However the worker put it.
      if (signal?.aborted) throw new DOMException('the opening was cancelled', 'AbortError');
      throw error;
    } finally {
      clearTimeout(timer);
      clearTimeout(grace);
      signal?.removeEventListener('abort', abort);
      port1.close();
    }
  }

  async sync(
    session: number,
    text: string,
    options: Omit<SyncOptions, 'signal'>,
    signal: AbortSignal | undefined,
  ): Promise<SyncResult> {
    throwIfAborted(signal);
    const { port1, port2 } = new MessageChannel();
    const abort = (): void => port1.postMessage('abort');
    signal?.addEventListener('abort', abort);
    try {
      const sync = this.remote.sync(session, text, options, Comlink.transfer(port2, [port2]));
      const { watched, ...rest } = await this.call(sync);
      return { ...rest, watched: unpackRows(watched) };
    } finally {
      signal?.removeEventListener('abort', abort);
      port1.close();
    }
  }

  generate(
    session: number | null,
    prompt: string,
    options: WireGenerateOptions,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<SessionChunk> {
    const { port1, port2 } = new MessageChannel();
    this.remote
      .generate(session, prompt, options, Comlink.transfer(port2, [port2]))
      .catch((error: unknown) => this.kill(String(error)));
    return receiveStream<SessionChunk>(port1, signal, this.#loss);
  }
}
