// The small model writes its part: token by token, tags held back and never shown, until it asks for the large model,
// ends, or must be stopped. What then happens is the policy's business.

import { TagScanner } from '../text/tags.ts';
import type { LargeStream } from './large-stream.ts';
import { repeatedBlock } from './loop.ts';
import type { Relay } from './relay.ts';
import type { SmallToken } from './small-side.ts';

/** What a trigger is told about one token, before it becomes part of the answer. */
export interface TokenView {
  token: SmallToken;
  /** The answer before this token, and this token's place in the piece being written. */
  answer: string;
  index: number;
}

/** 'before': hand off instead of this token. 'after': hand off behind it. */
export type TriggerAnswer = 'go' | 'before' | 'after';
export type Trigger = (view: TokenView) => TriggerAnswer;

export interface WriteSmallOptions {
  /** Stop with 'pause' after so many tokens. */
  maxTokens?: number;
  /** Tag tokens must not be drawn. 'first': only not as the next token (after a rejection). */
  ban?: 'always' | 'first' | 'never';
  /** Further ids that must not be the next token. */
  bannedFirst?: readonly number[];
  /** Added to the open tag's logit: a dial on how readily the model hands off. Only for tags of one token. */
  openBias?: number;
  trigger?: Trigger;
  /** The trigger reads `entropy`. */
  entropy?: boolean;
  /** Further texts that end the piece with 'text'; they are not part of the answer. */
  stops?: readonly string[];
  /** Texts that end the piece with 'step'; they stay in the answer. */
  steps?: readonly string[];
}

export type SmallStop =
  /** `triggered`: the policy asked, not the model. */
  | { kind: 'hand-off'; logprob: number; early: LargeStream | null; triggered?: boolean }
  | { kind: 'text'; match: string }
  | { kind: 'pause' | 'step' | 'end' | 'length' | 'context' | 'loop' }
  | { kind: 'failed'; error: unknown };

/** From this probability of the tag's first token on, an unfinished tag is worth a request. */
const EARLY_PROBABILITY = 0.3;
/** A rising tag probability at or above this makes a keep-warm request urgent. */
const URGENT_PROBABILITY = 0.02;

export async function writeSmall(relay: Relay, options: WriteSmallOptions): Promise<SmallStop> {
  const { small, ledger, parts } = relay;
  const budget = Math.min(options.maxTokens ?? Infinity, relay.tokensLeft);
  if (!ledger.current) ledger.begin('small');
  if (budget <= 0) return { kind: 'length' };
  const writer = new SmallWriter(relay, options);
  const ban = options.ban ?? 'never';
  const all = bannable(relay, ban);
  try {
    // After a rejection the model must write one token that is not the tag; from then on it is free again.
    const once = options.bannedFirst ?? [];
    if ((ban === 'first' && all.length > 0) || once.length > 0) {
      const stop = await writer.run(1, [...all, ...once]);
      if (stop.kind !== 'pause' || budget === 1) return await settled(stop, writer, all);
      const free = ban === 'first' ? bannable(relay, 'never') : all;
      return await settled(await writer.run(budget - 1, free), writer, free);
    }
    return await settled(await writer.run(budget, all), writer, all);
  } catch (error) {
    writer.dropEarly();
    // Text held back as the possible beginning of a tag was written before the failure and is kept.
    writer.flush();
    return { kind: 'failed', error };
  } finally {
    for (const note of small.notes.splice(0)) ledger.note(note);
    if (parts.signal.aborted) writer.dropEarly();
  }
}

/** A piece that pauses in the middle of what may be a tag goes on until that is clear: the next piece could not tell. */
async function settled(stop: SmallStop, writer: SmallWriter, banned: readonly number[]): Promise<SmallStop> {
  let last = stop;
  while (last.kind === 'pause' && writer.held !== '') last = await writer.run(1, banned);
  return last;
}

/** Ids to ban. The first token of a plain-text tag also begins other text, so it is banned for one token at most. */
function bannable(relay: Relay, ban: 'always' | 'first' | 'never'): readonly number[] {
  const { open, close } = relay.small;
  const closeIds = close.single === null ? [] : [close.single];
  if (ban === 'never') return closeIds;
  if (open.single !== null) return [open.single, ...closeIds];
  return ban === 'first' ? open.first : closeIds;
}

class SmallWriter {
  readonly #relay: Relay;
  readonly #options: WriteSmallOptions;
  readonly #scanner: TagScanner;
  #early: LargeStream | null = null;
  /** The answer that the early request was sent for. */
  #earlyAnswer = '';
  /** Log-probability of the tag where the text now held back began. */
  #heldLogprob = -Infinity;
  /** Text of this piece so far. */
  #piece = '';
  #index = 0;

  constructor(relay: Relay, options: WriteSmallOptions) {
    this.#relay = relay;
    this.#options = options;
    const { open, close } = relay.parts.tags;
    this.#scanner = new TagScanner([open, close, ...(options.stops ?? [])]);
  }

  async run(maxTokens: number, banned: readonly number[]): Promise<SmallStop> {
    const { small, parts } = this.#relay;
    const sampling = this.#relay.nextSampling();
    const { openBias } = this.#options;
    const logitBias =
      openBias === undefined || small.open.single === null
        ? sampling.logitBias
        : { ...sampling.logitBias, [small.open.single]: openBias };
    const stream = small.write(this.#relay.smallText + this.#scanner.held, {
      maxTokens,
      sampling: logitBias ? { ...sampling, logitBias } : sampling,
      banned,
      entropy: this.#options.entropy ?? false,
      signal: parts.signal,
    });
    for await (const token of stream) {
      this.#tellPrompt();
      const stop = this.#take(token);
      if (stop) return stop;
    }
    throw new Error('the small model stopped without saying why');
  }

  /** Text that may be the beginning of a tag, written but not yet part of the answer. */
  get held(): string {
    return this.#scanner.held;
  }

  flush(): void {
    const held = this.#scanner.flush();
    if (held !== '') this.#keep(held, 0);
  }

  dropEarly(): void {
    if (!this.#early) return;
    this.#relay.dropEarly(this.#early);
    this.#early = null;
  }

  /** The answer has grown since the early request was sent: "<<bigmodel>" after the first "<". */
  #dropStale(): void {
    if (this.#early && this.#earlyAnswer !== this.#relay.answer) this.dropEarly();
  }

  #take(token: SmallToken): SmallStop | null {
    if (token.count > 0 || token.text !== '') {
      const stop = this.#takeText(token);
      if (stop) return stop;
    }
    if (token.finishReason === undefined) return null;
    // Only a pause: what is held back is decided by the next token.
    if (token.finishReason === 'length' && this.#relay.tokensLeft > 0) return { kind: 'pause' };
    this.dropEarly();
    // A tag that the limit cut in two is not shown in part; a lone "<" or "</" may be anything.
    const cut = token.finishReason === 'length' || token.finishReason === 'context';
    if (!cut || this.#scanner.held.length <= 2) this.flush();
    if (token.finishReason === 'aborted') throw new DOMException('the run was cancelled', 'AbortError');
    if (token.finishReason === 'error') throw new Error('the small model failed');
    if (token.finishReason === 'stop') return { kind: 'end' };
    return { kind: token.finishReason === 'context' ? 'context' : 'length' };
  }

  #takeText(token: SmallToken): SmallStop | null {
    const { trigger } = this.#options;
    const view = { token, answer: this.#relay.answer, index: this.#index++ };
    const answer = trigger && this.#scanner.held === '' ? trigger(view) : 'go';
    if (answer === 'before') {
      // The token was decoded, and is paid for, but somebody else writes here.
      this.#keep('', token.count);
      return { kind: 'hand-off', logprob: token.openLogprob, early: null, triggered: true };
    }
    const heldBefore = this.#scanner.held;
    const found = this.#scanner.push(token.text);
    // A tag that begins inside this token: its probability is that of the position the token was drawn from.
    if (heldBefore === '' || found.text !== '') this.#heldLogprob = token.openLogprob;
    const step = this.#keep(found.text, token.count);
    if (step) return step;
    if (found.match !== undefined) return this.#matched(found.match, found.rest ?? '');
    this.#lookAhead(token);
    if (answer === 'after') {
      this.dropEarly();
      this.flush();
      return { kind: 'hand-off', logprob: token.openLogprob, early: null, triggered: true };
    }
    const { ledger } = this.#relay;
    if (this.#index % 16 === 0 && repeatedBlock(ledger.current?.text ?? '') !== null) return { kind: 'loop' };
    return null;
  }

  #matched(match: string, rest: string): SmallStop | null {
    const { tags } = this.#relay.parts;
    if (match === tags.open) {
      this.#dropStale();
      const early = this.#early;
      this.#early = null;
      return { kind: 'hand-off', logprob: this.#heldLogprob, early };
    }
    this.dropEarly();
    // A stray close tag means nothing here; the text goes on behind it.
    if (match === tags.close) return rest === '' ? null : this.#pushRest(rest);
    return { kind: 'text', match };
  }

  #pushRest(rest: string): SmallStop | null {
    const found = this.#scanner.push(rest);
    const step = this.#keep(found.text, 0);
    if (step) return step;
    return found.match === undefined ? null : this.#matched(found.match, found.rest ?? '');
  }

  /** Text that is certain to be part of the answer. Ends the piece at a step's end; what follows it is dropped. */
  #keep(text: string, count: number): SmallStop | null {
    const end = this.#stepEnd(text);
    this.#relay.append(end === null ? text : text.slice(0, end), count);
    return end === null ? null : { kind: 'step' };
  }

  /** Where in `text` the first step ends, also when its mark began in earlier text. */
  #stepEnd(text: string): number | null {
    const before = this.#piece.length;
    this.#piece += text;
    const ends = (this.#options.steps ?? []).flatMap((mark) => {
      const at = this.#piece.indexOf(mark, Math.max(0, before - mark.length + 1));
      return at < 0 ? [] : [at + mark.length - before];
    });
    return ends.length > 0 ? Math.min(...ends) : null;
  }

  /** Sends the hand-off early, or keeps the large side warm. */
  #lookAhead(token: SmallToken): void {
    const relay = this.#relay;
    if (this.#scanner.held === '') {
      this.dropEarly();
      const urgent = token.openLogprob >= Math.log(URGENT_PROBABILITY);
      if (relay.largeUsable && relay.closedWhy === null) relay.parts.keepWarm?.offer(relay.answer, urgent);
      return;
    }
    this.#dropStale();
    if (!this.#early && this.#heldLogprob >= Math.log(EARLY_PROBABILITY)) {
      if (!relay.parts.tags.open.startsWith(this.#scanner.held)) return;
      this.#earlyAnswer = relay.answer;
      this.#early = relay.sendEarly();
    }
  }

  #tellPrompt(): void {
    const { current } = this.#relay.ledger;
    if (!current || current.firstTokenMs !== null) return;
    const { tokens, kept } = this.#relay.small.lastSync;
    current.promptTokens = tokens;
    current.cachedTokens = kept;
  }
}
