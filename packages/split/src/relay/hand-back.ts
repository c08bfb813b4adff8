// When the large model must give the baton back. The main rule is controlling prefill: the small model reads the text
// as it arrives, and its own next-token probabilities say where it would have written the close tag. No tokens are
// decoded to find out.

import type { WatchedPosition } from '@baton/runtime/text-model';

import { logSumExp } from './tag-ids.ts';
import type { TagIds } from './tag-ids.ts';
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
  /** Of the tag's first token, summed over every token that can be it. */
  logprob: number;
  /** The likeliest of those. */
  first: number;
}

/** A tag of several tokens is looked for at no more places than this per batch; each costs one pass over the tag. */
const MOST_VERIFIED = 16;

/**
 * Looks through positions of a span for the hand-back. `base` is the text before the span, `confirmed` how much of the
 * span was decided on before. A close tag of one token is decided by its probability alone. One of several tokens
 * shares its first token with other text ("<" also begins "< 3"), so a candidate is verified: the tag is ingested, and behind
 * its first token the rest must be at least as probable as not. That is where a greedy model would write it.
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
  const candidates = watched.flatMap((row) => candidatesAt(small, row, base, base + span, threshold));
  const fresh = candidates.filter((c) => c.length > confirmed).sort((a, b) => a.length - b.length);
  if (small.close.single !== null) return fresh[0] ?? null;
  // Only the likeliest are worth a pass where there are many; of those, the earliest that holds.
  const best = [...fresh].sort((a, b) => b.logprob - a.logprob).slice(0, MOST_VERIFIED);
  for (const one of best.sort((a, b) => a.length - b.length)) {
    const rest = await restOfTag(small, small.close, base + span.slice(0, one.length), one.first, signal);
    if (rest >= Math.log(0.5)) return { length: one.length, logprob: one.logprob + rest };
  }
  // A tag that was tried and failed must not stay in the cache: text that begins like it would count as read already.
  if (best.length > 0) await small.sync(base + span, undefined, signal);
  return null;
}

/**
 * A token that holds the end of the span and the beginning of the tag (".</") counts where the span has that end; it may even
 * hold the open tag's end and all of the span (">7</").
 */
function candidatesAt(
  small: SmallSide,
  row: WatchedPosition,
  base: string,
  text: string,
  threshold: number,
): Candidate[] {
  const at = row.textLength;
  // Inside a character.
  if (at < 0) return [];
  const { first, leads } = small.close;
  return [...new Set(leads)].flatMap((lead) => {
    const length = at + lead.length - base.length;
    if (length < 1 || at + lead.length > text.length || !text.startsWith(lead, at)) return [];
    const group = first.flatMap((id, i) => (leads[i] === lead ? [{ id, logprob: row.logprobs[i]! }] : []));
    const logprob = logSumExp(group.map((one) => one.logprob));
    const likeliest = group.reduce((a, b) => (b.logprob > a.logprob ? b : a));
    const best = first.indexOf(row.argmax);
    if (leads[best] !== lead && logprob < Math.log(threshold)) return [];
    return [{ length, logprob, first: likeliest.id }];
  });
}

/**
 * Log-probability of the rest of a tag after `text` and `chosen`, the tag's first token there. Leaves the tag, or a part of it,
 * in the small model's cache.
 */
export async function restOfTag(
  small: SmallSide,
  tag: TagIds,
  text: string,
  chosen: number,
  signal: AbortSignal,
): Promise<number> {
  const covered = tag.covers[tag.first.indexOf(chosen)] ?? 0;
  if (covered >= tag.text.length) return 0;
  const usual = await usualRest(small, tag, text, signal);
  if (usual.first === chosen || covered === 0) return usual.logprob;
  // Another first token than the usual one ("<" where "</" is): it must lead on to the tag as well.
  await small.sync(withoutEnd(text), undefined, signal);
  const next = await small.beginningsOf(tag.text.slice(covered));
  const { watched } = await small.sync(text + tag.text.slice(0, covered), next, signal);
  return Math.min(usual.logprob, logSumExp(watched.at(-1)?.logprobs ?? []));
}

/** The tag over its tokens as they usually fall behind `text`: the first, which may hold the text's end, and the others. */
async function usualRest(
  small: SmallSide,
  tag: TagIds,
  text: string,
  signal: AbortSignal,
): Promise<{ first: number; logprob: number }> {
  const whole = text + tag.text;
  const ids = await small.encode(whole);
  // A little of the text is read again, so that the position before a merged first token is among the answers.
  await small.sync(withoutEnd(text), undefined, signal);
  const tail = [...new Set(ids.slice(-(tag.full.length + 12)))];
  const { watched } = await small.sync(whole, tail, signal);
  const begin = ids.length - watched.length;
  let sum = 0;
  let first: number | null = null;
  for (const [i, row] of watched.slice(0, -1).entries()) {
    const end = watched[i + 1]!.textLength;
    if (end >= 0 && end <= text.length) continue;
    const id = ids[begin + i + 1]!;
    if (first === null) {
      first = id;
      continue;
    }
    const next = tail.indexOf(id);
    sum += next < 0 ? -Infinity : row.logprobs[next]!;
  }
  return { first: first ?? -1, logprob: sum };
}

/** The text without its last three characters. */
export function withoutEnd(text: string): string {
  return text.slice(0, text.length - Array.from(text.slice(-6)).slice(-3).join('').length);
}
