// A session of a model in a worker. It remembers its text, so that when the worker is lost it can be put in the same
// state on the next target and go on: mid-generation the text so far is ingested there and the rest is generated.

import { BackendLostError } from '../backend.ts';
import { RuntimeError } from '../errors.ts';
import type { SessionChunk } from '../session.ts';
import type { GenerateOptions, SyncOptions, SyncResult, TextSession } from '../text-model.ts';
import type { WorkerModel } from './client.ts';
import type { WorkerConnection } from './worker-connection.ts';

export class WorkerSession implements TextSession {
  readonly #model: WorkerModel;
  #connection: WorkerConnection | null = null;
  #number = 0;
  #text = '';
  #closed = false;

  constructor(model: WorkerModel) {
    this.#model = model;
  }

  /** Makes the session exist in the live worker, holding its text. */
  async attach(): Promise<void> {
    if (this.#closed) throw new RuntimeError('closed', 'this session is closed; open another one');
    const connection = await this.#model.start();
    if (connection === this.#connection && this.#number > 0) return;
    this.#connection = connection;
    this.#number = 0;
    this.#number = await connection.call(connection.remote.openSession());
    if (this.#text !== '') await connection.sync(this.#number, this.#text, {}, undefined);
  }

  encode(text: string): Promise<readonly number[]> {
    return this.#carried(async (connection) => [
      ...(await connection.call(connection.remote.encode(this.#number, text))),
    ]);
  }

  beginnings(text: string): Promise<readonly { id: number; lead: string; covers: number }[]> {
    return this.#carried(async (connection) =>
      connection.call(connection.remote.beginnings(this.#number, text)),
    );
  }

  async sync(text: string, { signal, ...asked }: SyncOptions = {}): Promise<SyncResult> {
    const release = await this.#model.exclusive();
    const notes = this.#model.untold.splice(0);
    try {
      const result = await this.#carried(
        (connection) => connection.sync(this.#number, text, asked, signal),
        notes,
      );
      this.#text = text;
      return notes.length > 0 ? { ...result, notes: [...notes, ...(result.notes ?? [])] } : result;
    } finally {
      release();
    }
  }

  async *generate(
    options: GenerateOptions & { watch?: readonly number[] } = {},
  ): AsyncGenerator<SessionChunk> {
    const release = await this.#model.exclusive();
    const { signal, ...rest } = options;
    const notes = this.#model.untold.splice(0);
    let produced = 0;
    try {
      for (;;) {
        try {
          await this.attach();
          const left = rest.maxTokens === undefined ? {} : { maxTokens: rest.maxTokens - produced };
          for await (const chunk of this.#connection!.generate(
            this.#number,
            '',
            { ...rest, ...left },
            signal,
          )) {
            produced += chunk.tokenIds.length;
            this.#text += chunk.text;
            if (chunk.finishReason) {
              await this.#readText();
              if (chunk.usage) chunk.usage.completionTokens = produced;
            }
            yield notes.length > 0
              ? { ...chunk, notes: [...notes.splice(0), ...(chunk.notes ?? [])] }
              : chunk;
          }
          return;
        } catch (error) {
          const full = await this.#moved(error, notes);
          if (!full) continue;
          const before = this.#text.length;
          const { tokens } = await this.#readText();
          yield {
            text: this.#text.slice(before),
            tokenIds: [],
            finishReason: 'context',
            usage: { promptTokens: tokens - produced, completionTokens: produced },
            notes: [...notes, full.message],
          };
          return;
        }
      }
    } finally {
      release();
    }
  }

  /** As #move with the note added to `notes`; or the error of a cache that nothing has room to grow. */
  async #moved(error: unknown, notes: string[]): Promise<RuntimeError | null> {
    try {
      notes.push(await this.#move(error));
      return null;
    } catch (stuck) {
      if (stuck instanceof RuntimeError && stuck.code === 'context-full') return stuck;
      throw stuck;
    }
  }

  async state(): Promise<{ tokens: number; capacity: number; text: string }> {
    return this.#carried((connection) => connection.call(connection.remote.state(this.#number)));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const connection = this.#connection;
    if (connection)
      await connection.call(connection.remote.closeSession(this.#number)).catch(() => undefined);
  }

  /** Runs `work`; when the worker is lost, again on the next target. */
  async #carried<T>(work: (connection: WorkerConnection) => Promise<T>, notes: string[] = []): Promise<T> {
    for (;;) {
      try {
        await this.attach();
        return await work(this.#connection!);
      } catch (error) {
        notes.push(await this.#move(error));
      }
    }
  }

  /** Rethrows what is not the loss of a worker; else connects to the next target and gives the note. */
  async #move(error: unknown): Promise<string> {
    if (!(error instanceof BackendLostError) || !this.#connection) throw error;
    const { note } = await this.#model.replace(this.#connection, error);
    return note;
  }

  /** After a stop string the worker's session may be shorter than the text that was shown. */
  async #readText(): Promise<{ tokens: number }> {
    const connection = this.#connection!;
    const { text, tokens } = await connection.call(connection.remote.state(this.#number));
    this.#text = text;
    return { tokens };
  }
}
