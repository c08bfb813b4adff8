// The small model as the relay uses it: one cache session that always holds the answer so far with its tags, writes on
// from there token by token, and says what it would have written at each position of somebody else's text.

import type {
  FinishReason,
  Sampling,
  SyncResult,
  TextChunk,
  TextModel,
  TextSession,
  WatchedPosition,
} from '@baton/runtime/text-model';

import { SplitError } from '../split-error.ts';
import type { Tags } from '../text/tags.ts';
import { logSumExp, tagIds } from './tag-ids.ts';
import type { TagIds } from './tag-ids.ts';

export interface SmallToken {
  /** Text this token added; may be empty inside a character. */
  text: string;
  count: number;
  /** Natural-log probability that the open tag begins here instead, as the model saw it before drawing. */
  openLogprob: number;
  /** The open tag begins with the most likely token. */
  openIsBest: boolean;
  /** Entropy in nats of the position the token was drawn from; NaN unless asked for. */
  entropy: number;
  logprob: number;
  finishReason?: FinishReason;
}

export interface WriteOptions {
  maxTokens: number;
  sampling: Sampling;
  /** Token ids that must not be drawn. */
  banned?: readonly number[];
  entropy?: boolean;
  signal: AbortSignal;
}

export class SmallSide {
  readonly model: TextModel;
  readonly open: TagIds;
  readonly close: TagIds;
  readonly capacity: number;
  readonly notes: string[] = [];
  readonly #session: TextSession;
  /** Text the session holds as far as known; null after a generation that was left early. */
  #held: string | null = null;
  readonly #beginnings = new Map<string, readonly number[]>();
  ingestedTokens = 0;
  /** Tokens written only to find out what the model would write. */
  probedTokens = 0;
  /** Tokens of the last text that was synced, and how many of them the cache already held. */
  lastSync = { tokens: 0, kept: 0 };

  private constructor(model: TextModel, session: TextSession, open: TagIds, close: TagIds, capacity: number) {
    this.model = model;
    this.#session = session;
    this.open = open;
    this.close = close;
    this.capacity = capacity;
  }

  /** Throws SplitError `unsuitable-model` for a model without sessions. */
  static async create(model: TextModel, tags: Tags): Promise<SmallSide> {
    if (!model.capabilities.sessions || !model.openSession)
      throw new SplitError(
        'unsuitable-model',
        `${model.id} at ${model.location} cannot be the small model: it gives no sessions (its own next-token ` +
          'probabilities over a given text); use a local model, the bridge, or openSmallEndpoint',
      );
    const session = await model.openSession();
    try {
      const [open, close] = [await tagIds(session, tags.open), await tagIds(session, tags.close)];
      return new SmallSide(model, session, open, close, (await session.state()).capacity);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /**
   * Makes the session hold `text`, asking at each new position for the probabilities of `watch`. `likely`: what may follow, read
   * as well where that costs nothing.
   */
  async sync(
    text: string,
    watch?: readonly number[],
    signal?: AbortSignal,
    likely?: string,
  ): Promise<SyncResult> {
    if (watch === undefined && this.#held === text) return { kept: 0, ingested: 0, watched: [] };
    this.#held = null;
    const result = await this.#session.sync(text, {
      ...(watch ? { watch } : {}),
      ...(likely ? { likely } : {}),
      ...(signal ? { signal } : {}),
    });
    this.#held = text;
    this.ingestedTokens += result.ingested;
    this.probedTokens += result.probed ?? 0;
    this.lastSync = { tokens: result.kept + result.ingested, kept: result.kept };
    if (result.notes) this.notes.push(...result.notes);
    return result;
  }

  /** Writes on from `text`. May be left at any token. */
  async *write(text: string, options: WriteOptions): AsyncGenerator<SmallToken> {
    await this.sync(text, undefined, options.signal);
    this.#held = null;
    const banned = options.banned ?? [];
    const logitBias = { ...options.sampling.logitBias };
    for (const id of banned) logitBias[id] = -Infinity;
    const stream = this.#session.generate({
      maxTokens: options.maxTokens,
      sampling: { ...options.sampling, ...(banned.length > 0 ? { logitBias } : {}) },
      watch: this.open.first,
      // Twenty alternatives hold nearly all of the mass wherever a model is sure, and enough of it where it is not.
      topLogprobs: options.entropy ? 20 : 0,
      signal: options.signal,
    });
    let produced = '';
    for await (const chunk of stream) {
      if (chunk.notes) this.notes.push(...chunk.notes);
      produced += chunk.text;
      if (chunk.finishReason !== undefined && chunk.finishReason !== 'stop') this.#held = text + produced;
      yield describe(chunk, this.open);
    }
  }

  /** Ids that can begin `text`, whatever stands before it, with nothing in front of it in the same token. */
  async beginningsOf(text: string): Promise<readonly number[]> {
    let known = this.#beginnings.get(text);
    if (!known) {
      const { first, leads } = await tagIds(this.#session, text);
      known = first.filter((_, i) => leads[i] === '');
      this.#beginnings.set(text, known);
    }
    return known;
  }

  /** Whether a token ends behind `text` when `more` follows. */
  async cutsAt(text: string, more: string): Promise<boolean> {
    const [whole, front] = [await this.encode(text + more), await this.encode(text)];
    return front.every((id, i) => whole[i] === id);
  }

  async encode(text: string): Promise<readonly number[]> {
    return this.#session.encode(text);
  }

  /** Text the session holds; what `write` left behind included. */
  async text(): Promise<string> {
    return (await this.#session.state()).text;
  }

  async dispose(): Promise<void> {
    await this.#session.close();
  }
}

function describe(chunk: TextChunk & { watched?: readonly WatchedPosition[] }, open: TagIds): SmallToken {
  const at = chunk.watched?.[0];
  const own = chunk.logprobs?.[0];
  return {
    text: chunk.text,
    count: chunk.tokenIds.length,
    openLogprob: at ? logSumExp(at.logprobs) : -Infinity,
    openIsBest: at ? open.first.includes(at.argmax) : false,
    entropy: own?.top ? entropyOf(own.top.map((t) => t.logprob)) : Number.NaN,
    logprob: own?.logprob ?? Number.NaN,
    ...(chunk.finishReason ? { finishReason: chunk.finishReason } : {}),
  };
}

/** Entropy of a distribution known by its likeliest members; what is missing counts as one more member. */
function entropyOf(logprobs: readonly number[]): number {
  let sum = 0;
  let mass = 0;
  for (const logprob of logprobs) {
    const p = Math.exp(logprob);
    mass += p;
    if (p > 0) sum -= p * logprob;
  }
  const rest = 1 - mass;
  return rest > 1e-9 ? sum - rest * Math.log(rest) : sum;
}
