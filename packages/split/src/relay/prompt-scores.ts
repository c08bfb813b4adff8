// Log-probabilities that the large model gives to a text which it did not write: what step scoring, speculative decoding
// and subselection read. Where they come from depends on the model: echo over HTTP, or a local model's own scoring.

import type { TextModel, Usage } from '@baton/runtime/text-model';

import { SplitError } from '../split-error.ts';
import type { Continuation, LargeSide, Tell } from './large-side.ts';
import type { Relay } from './relay.ts';

export interface PromptToken {
  text: string;
  /** Of this token, given everything before it. */
  logprob: number;
  /** The likeliest token at this place. */
  best: string;
}

interface Scoring {
  /** Tokens of the whole text. */
  tokens: PromptToken[];
  /** What the model would write next, greedily; null where the scoring pass does not say. */
  next: string | null;
  usage: Usage | null;
}

type Scorer = (text: string, signal: AbortSignal) => Promise<Scoring>;

/**
 * Scores `piece` as the continuation of the answer: the tokens that cover it, in order. A token that begins before the piece
 * is left out of them. Throws SplitError `unsuitable-model` where the large model cannot score.
 */
export async function scorePiece(
  relay: Relay,
  answer: string,
  piece: string,
): Promise<{ tokens: PromptToken[]; next: string | null; covered: boolean }> {
  const { large, parts } = relay;
  let text = '';
  const tell = (to: string, prompt: string): void => {
    text = prompt;
    relay.overhead.requests++;
    parts.emit({ type: 'request', kind: 'score', to, prompt, atMs: parts.now() });
  };
  const { tokens, next, usage } = await scored(large, answer, piece, parts.signal, tell);
  // Endpoints write one token behind the text, which nobody keeps.
  relay.overhead.largeTokens += usage?.completionTokens ?? 1;
  large.spend(usage, text, usage ? 0 : 1);
  const covering: PromptToken[] = [];
  let left = piece.length;
  for (let i = tokens.length - 1; i >= 0 && left > 0; i--) {
    left -= tokens[i]!.text.length;
    if (left >= 0) covering.unshift(tokens[i]!);
  }
  return { tokens: covering, next, covered: left === 0 && reads(covering, piece) };
}

/** Whether the tokens are the piece's own, as far as their texts say: parts of characters name none. */
function reads(tokens: readonly PromptToken[], piece: string): boolean {
  let at = 0;
  for (const { text } of tokens) {
    if (text.includes('\uFFFD') || text.startsWith('bytes:')) return true;
    if (!piece.startsWith(text, at)) return false;
    at += text.length;
  }
  return true;
}

async function scored(
  large: LargeSide,
  answer: string,
  piece: string,
  signal: AbortSignal,
  tell: Tell,
): Promise<Scoring> {
  const { model } = large;
  if ('scoreTelling' in model) {
    const { scoreTelling } = model as TellingScorer;
    return named(await scoreTelling.call(model, large.turnOf(answer), piece, { top: 1, signal }, tell));
  }
  const scorer = scorerOf(model);
  const text = (await large.textOf(answer, signal)) + piece;
  tell(large.location, text);
  return scorer(text, signal);
}

/** Whether the large model can score a text at all. */
export function canScore(model: TextModel): boolean {
  return 'score' in model && typeof (model as { score?: unknown }).score === 'function';
}

function scorerOf(model: TextModel): Scorer {
  if (!canScore(model))
    throw new SplitError(
      'unsuitable-model',
      `${model.id} gives no log-probabilities of a prompt; this policy needs them`,
    );
  return model.capabilities.sessions ? local(model as LocalScorer) : remote(model as RemoteScorer);
}

interface Alternative {
  text: string;
  logprob: number;
}

interface RemoteScores {
  tokens: readonly (Alternative & { top?: readonly Alternative[] })[];
  next: string | null;
  usage: Usage | null;
}

interface RemoteOptions {
  top: number;
  signal: AbortSignal;
}

type RemoteScorer = TextModel & { score(text: string, options: RemoteOptions): Promise<RemoteScores> };

/** Of several endpoints: the text is in the form of the one that scores it. */
type TellingScorer = TextModel & {
  scoreTelling(turn: Continuation, piece: string, options: RemoteOptions, tell: Tell): Promise<RemoteScores>;
};

function remote(model: RemoteScorer): Scorer {
  return async (text, signal) => named(await model.score(text, { top: 1, signal }));
}

function named({ tokens, next, usage }: RemoteScores): Scoring {
  return {
    tokens: tokens.map((t) => ({ text: t.text, logprob: t.logprob, best: t.top?.[0]?.text ?? t.text })),
    next,
    usage,
  };
}

type LocalScorer = TextModel & {
  score(
    input: { text: string },
    top: number,
  ): Promise<
    readonly { id: number; logprob: number | null; top?: readonly { id: number; logprob: number }[] }[]
  >;
  readonly tokenizer: { tokenText(id: number): string };
};

function local(model: LocalScorer): Scorer {
  return async (text) => {
    const scored = await model.score({ text }, 1);
    const name = (id: number): string => model.tokenizer.tokenText(id);
    const tokens = scored.map(({ id, logprob, top }) => ({
      text: name(id),
      logprob: logprob ?? Number.NaN,
      best: top?.[0] ? name(top[0].id) : name(id),
    }));
    return { tokens, next: null, usage: { promptTokens: scored.length, completionTokens: 0 } };
  };
}

/** Mean log-probability per token; NaN for none. */
export function meanLogprob(tokens: readonly PromptToken[]): number {
  const known = tokens.filter((t) => Number.isFinite(t.logprob));
  return known.length === 0 ? Number.NaN : known.reduce((sum, t) => sum + t.logprob, 0) / known.length;
}
