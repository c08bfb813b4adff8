// Conversations that a client drives step by step (a relay in a page, whose small model runs here): each holds a cache
// under an id until it is closed, left alone for ten minutes, or has to make room. A client that finds its session gone
// opens another; nothing but time is lost.
import { randomUUID } from 'node:crypto';
import type { LocalSession } from '@baton/runtime';
import { ApiError } from '../api-error.ts';
import type { Conversations } from './conversations.ts';

const IDLE_MS = 10 * 60_000;

interface Held {
  session: LocalSession;
  /** The call that uses it now; the next waits for it. */
  turn: Promise<void>;
  waiting: number;
  lastUsed: number;
}

export class Sessions {
  readonly #conversations: Conversations;
  readonly #held = new Map<string, Held>();
  readonly #sweep: NodeJS.Timeout;

  constructor(conversations: Conversations) {
    this.#conversations = conversations;
    conversations.reclaim = () => this.#reclaim();
    this.#sweep = setInterval(() => void this.#sweepIdle(), 60_000);
    this.#sweep.unref();
  }

  get count(): number {
    return this.#held.size;
  }

  async open(): Promise<string> {
    const session = await this.#conversations.take([]);
    // It may have been another conversation's: a new session holds nothing.
    await session.syncTokens([]);
    const id = randomUUID();
    this.#held.set(id, { session, turn: Promise.resolve(), waiting: 0, lastUsed: Date.now() });
    return id;
  }

  /** Runs `work` when the calls before it on this session are done. Throws 404 `session_gone` for one that is not there. */
  async *use<T>(id: string, work: (session: LocalSession) => AsyncIterable<T>): AsyncGenerator<T> {
    const held = this.#find(id);
    const before = held.turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    held.turn = promise;
    held.waiting++;
    try {
      await before;
      // It may have been closed while this call waited.
      if (this.#held.get(id) !== held) throw gone();
      yield* work(held.session);
    } finally {
      held.waiting--;
      held.lastUsed = Date.now();
      resolve();
    }
  }

  async close(id: string): Promise<void> {
    const held = this.#find(id);
    this.#held.delete(id);
    await held.turn;
    await this.#conversations.giveBack(held.session);
  }

  async closeAll(): Promise<void> {
    clearInterval(this.#sweep);
    await Promise.all(Array.from(this.#held.keys(), (id) => this.close(id)));
  }

  #find(id: string): Held {
    const held = this.#held.get(id);
    if (!held) throw gone();
    return held;
  }

  /** Gives up the session that has been idle longest; false where every one is at work. */
  async #reclaim(): Promise<boolean> {
    const idle = [...this.#held].filter(([, held]) => held.waiting === 0);
    const [oldest] = idle.sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
    if (!oldest) return false;
    await this.close(oldest[0]);
    return true;
  }

  async #sweepIdle(): Promise<void> {
    for (const [id, held] of this.#held)
      if (held.waiting === 0 && Date.now() - held.lastUsed > IDLE_MS) await this.close(id);
  }
}

function gone(): ApiError {
  return new ApiError(404, 'this session is gone; open another', { code: 'session_gone' });
}
