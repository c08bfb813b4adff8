// The KV caches of several conversations: a prompt goes on in the cache that shares the longest beginning with it, and
// the least recently used cache makes room when the memory limit or the number limit is reached.
import { commonPrefix, type LocalModel, type LocalSession } from '@baton/runtime';
import { underSignal } from '@baton/runtime/under-signal';

export interface ConversationLimits {
  /** Bytes of KV cache over all conversations; one conversation is always allowed. */
  bytes: number;
  count: number;
}

interface Entry {
  session: LocalSession;
  lastUsed: number;
}

export interface TakeOptions {
  /** The cache comes back as soon as it holds the prompt: a keep-warm request. Who goes on from there waits for it. */
  brief?: boolean;
  signal?: AbortSignal;
}

/** A cache that is filled and then given back. */
interface Returning {
  ids: readonly number[];
  back: Promise<void>;
  returned: () => void;
}

/** Tokens of another conversation that may be given up to reuse its cache: a small, or a shared quarter. */
const SPARE_TOKENS = 32;

export class Conversations {
  /** Gives back one cache that is held but not at work, and says whether there was one. */
  reclaim: () => Promise<boolean> = async () => false;
  readonly #model: LocalModel;
  readonly #limits: ConversationLimits;
  #idle: Entry[] = [];
  readonly #busy = new Map<LocalSession, Returning | null>();
  #clock = 0;
  #opening = 0;

  constructor(model: LocalModel, limits: ConversationLimits) {
    this.#model = model;
    this.#limits = limits;
  }

  /** Conversations that fit at the model's largest capacity, so that running ones never need more than the limit. */
  get room(): number {
    const fit = Math.floor(this.#limits.bytes / this.#bytesAt(this.#model.manifest.capacities.at(-1)!));
    return Math.max(1, Math.min(this.#limits.count, fit));
  }

  get usage(): { conversations: number; bytes: number } {
    const sessions = [...this.#idle.map((e) => e.session), ...this.#busy.keys()];
    return { conversations: sessions.length, bytes: sessions.reduce((n, s) => n + this.#bytes(s), 0) };
  }

  /**
   * A cache for `ids`, taken out of the pool until `giveBack`. Waits for one that is just being filled with their beginning; throws
   * an AbortError when the signal is aborted meanwhile.
   */
  async take(ids: readonly number[], { brief = false, signal }: TakeOptions = {}): Promise<LocalSession> {
    const use = (session: LocalSession): LocalSession => {
      this.#busy.set(session, brief ? returning(ids) : null);
      return session;
    };
    let best = this.#closest(ids);
    for (let soon; (soon = this.#beingFilled(ids, best)); best = this.#closest(ids))
      await underSignal(soon.back, signal);
    if (best) {
      this.#idle = this.#idle.filter((e) => e !== best);
      return use(best.session);
    }
    this.#opening++;
    try {
      await this.#makeRoom();
      return use(await this.#model.openSession());
    } finally {
      this.#opening--;
    }
  }

  /** Puts the cache back; `broken` ones are closed instead. */
  async giveBack(session: LocalSession, broken = false): Promise<void> {
    const { returned } = this.#busy.get(session) ?? {};
    this.#busy.delete(session);
    if (!broken) this.#idle.push({ session, lastUsed: ++this.#clock });
    returned?.();
    if (broken) return session.close();
    // A cache that grew while it ran may have gone over the limit.
    while (this.#idle.length > 1 && this.usage.bytes > this.#limits.bytes) await this.#evict();
  }

  async close(): Promise<void> {
    const all = [...this.#idle.map((e) => e.session), ...this.#busy.keys()];
    this.#idle = [];
    this.#busy.clear();
    await Promise.allSettled(all.map((s) => s.close()));
  }

  /**
   * The idle cache to go on with: the one with the longest common beginning, unless that would throw away most of
   * another conversation (a shared system prompt). Where there is no room for a new one then, the one unused longest.
   */
  #closest(ids: readonly number[]): Entry | undefined {
    let best: Entry | undefined;
    let shared = 0;
    for (const entry of this.#idle) {
      const common = commonPrefix(entry.session.tokens, ids);
      if (common > shared || (best === undefined && entry.session.tokens.length === 0))
        [best, shared] = [entry, common];
    }
    if (best && isSpared(best.session.tokens, shared)) return best;
    return this.#isFull() ? this.#oldest() : undefined;
  }

  /** The cache that a keep-warm request fills with more of `ids` than `idle` holds. */
  #beingFilled(ids: readonly number[], idle: Entry | undefined): Returning | undefined {
    const held = idle ? commonPrefix(idle.session.tokens, ids) : 0;
    const filled = [...this.#busy.values()].filter((one) => one !== null);
    return filled.find((one) => {
      const shared = commonPrefix(one.ids, ids);
      // So few tokens are read again sooner than anybody is waited for.
      return shared > held + SPARE_TOKENS && isSpared(one.ids, shared);
    });
  }

  #oldest(): Entry | undefined {
    return this.#idle.toSorted((a, b) => a.lastUsed - b.lastUsed)[0];
  }

  #isFull(): boolean {
    return this.#idle.length + this.#busy.size + this.#opening >= this.room;
  }

  async #makeRoom(): Promise<void> {
    // This request's own place is already counted in #opening.
    while (this.#idle.length + this.#busy.size + this.#opening > this.room) {
      if (this.#idle.length > 0) await this.#evict();
      else if (!(await this.reclaim())) return;
    }
  }

  async #evict(): Promise<void> {
    const oldest = this.#oldest();
    if (!oldest) return;
    this.#idle = this.#idle.filter((e) => e !== oldest);
    await oldest.session.close();
  }

  #bytes(session: LocalSession): number {
    const { capacities } = this.#model.manifest;
    return this.#bytesAt(capacities.find((c) => c >= session.tokens.length) ?? capacities.at(-1)!);
  }

  /** Keys and values, in the number type of the model's cache inputs. */
  #bytesAt(capacity: number): number {
    const { architecture, graphs } = this.#model.manifest;
    const port = graphs.flatMap((g) => g.inputs).find((p) => p.name.startsWith('past_key'));
    const { kvHeads, headDim, layers } = architecture;
    return 2 * layers.length * kvHeads * headDim * capacity * (port?.dtype === 'f16' ? 2 : 4);
  }
}

/** Whether going on from the first `shared` of `tokens` gives up little of them. */
function isSpared(tokens: readonly number[], shared: number): boolean {
  return tokens.length - shared <= Math.max(SPARE_TOKENS, shared / 4);
}

function returning(ids: readonly number[]): Returning {
  const { promise: back, resolve: returned } = Promise.withResolvers<void>();
  return { ids, back, returned };
}
