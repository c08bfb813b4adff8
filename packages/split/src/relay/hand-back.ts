// When the large model must give the baton back. The main rule is controlling prefill: the small model reads the text
// as it arrives, and its own next-token probabilities say where it would have written the close tag. No tokens are
// decoded to find out.

import type { WatchedPosition } from '@baton/runtime/text-model';

import { logSumExp } from './tag-ids.ts';
import type { SmallSide } from './small-side.ts';

/** How a span ends, unless a limit or the end of text comes first. */
export type HandBackRule =
  /** The earliest place where the close tag is the small model's first choice, or at least this probable. */
  | { kind: 'controlling-prefill'; threshold: number }
  /** After so many large tokens. */
  | { kind: 'tokens'; tokens: number }
  /** After the first of these strings (it stays in the text). */
  | { kind: 'after'; ends: readonly string[] }
  /** Only the large model's own end. */
  | { kind: 'end' };

export interface HandBackDecision {
  /** Characters of the span that are kept. */
  length: number;
  logprob?: number;
}

/** A place where the close tag may begin, by the rule. */
interface Candidate {
  length: number;
  logprob: number;
  /** Of the tag's first token as it would be tokenised here. */
  firstLogprob: number;
}

/** A tag of several tokens is looked for at no more places than this per batch; each costs one pass over the tag. */
const MOST_VERIFIED = 16;

/**
 * Looks through positions of a span for the hand-back. `base` is the text before the span, `confirmed` how much of the
 * span was decided on before. A close tag of one token is decided by its probability alone. One of several tokens
 * shares its first token with other text ("<" also begins "< 3"), so the likeliest candidates are verified: the rest of
 * the tag is ingested behind it, and the whole tag must be at least as probable as not.
 */
export async function findHandBack(
  small: SmallSide,
  watched: readonly WatchedPosition[],
  base: string,
  span: string,
  confirmed: number,
  threshold: number,
  signal: AbortSignal,
): Promise<HandBackDecision | null> {
  const candidates = watched.flatMap((row) => candidatesAt(small, row, base.length, span, threshold));
  const fresh = candidates.filter((c) => c.length > confirmed).sort((a, b) => a.length - b.length);
  if (small.close.single !== null) return fresh[0] ?? null;
  const likely = fresh.filter((c) => c.firstLogprob >= Math.log(0.5) - 1e-6);
  likely.sort((a, b) => b.firstLogprob - a.firstLogprob);
  for (const one of likely.slice(0, MOST_VERIFIED)) {
    const whole = await tagLogprob(small, base + span.slice(0, one.length), signal);
    if (whole >= Math.log(0.5)) return one;
  }
  // A tag that was tried and failed must not stay in the cache: text that begins like it would count as read already.
  if (likely.length > 0) await small.sync(base + span, undefined, signal);
  return null;
}

/** A token that holds the end of the span and the beginning of the tag (".</") counts where the span has that end. */
function candidatesAt(
  small: SmallSide,
  row: WatchedPosition,
  before: number,
  span: string,
  threshold: number,
): Candidate[] {
  if (row.textLength < before) return [];
  const { first, leads, full } = small.close;
  const at = row.textLength - before;
  return [...new Set(leads)].flatMap((lead) => {
    const length = at + lead.length;
    if (length < 1 || length > span.length || !span.startsWith(lead, at)) return [];
    const group = first.flatMap((_, i) => (leads[i] === lead ? [row.logprobs[i]!] : []));
    const logprob = logSumExp(group);
    const best = first.indexOf(row.argmax);
    if (leads[best] !== lead && logprob < Math.log(threshold)) return [];
    const usual = lead === '' ? row.logprobs[first.indexOf(full[0]!)]! : logprob;
    return [{ length, logprob, firstLogprob: usual }];
  });
}

/** Log-probability of the close tag after `text`, over its tokens as they fall there: the first may hold the text's end. */
async function tagLogprob(small: SmallSide, text: string, signal: AbortSignal): Promise<number> {
  const whole = text + small.close.text;
  const ids = await small.encode(whole);
  // A little of the text is read again, so that the position before a merged first token is among the answers.
  await small.sync(withoutEnd(text), undefined, signal);
  const tail = [...new Set(ids.slice(-(small.close.full.length + 12)))];
  const { watched } = await small.sync(whole, tail, signal);
  const begin = ids.length - watched.length;
  let sum = 0;
  for (const [i, row] of watched.slice(0, -1).entries()) {
    const end = watched[i + 1]!.textLength;
    if (end >= 0 && end <= text.length) continue;
    const next = tail.indexOf(ids[begin + i + 1]!);
    sum += next < 0 ? -Infinity : row.logprobs[next]!;
  }
  return sum;
}

/** The text without its last three characters. */
function withoutEnd(text: string): string {
  return text.slice(0, text.length - Array.from(text.slice(-6)).slice(-3).join('').length);
}
