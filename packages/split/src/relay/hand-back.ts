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

/** A place whose next token would begin the close tag, by the rule. */
interface Candidate {
  length: number;
  logprob: number;
}

/**
 * Looks through newly ingested positions for the hand-back. `from` is the text length before the span, `confirmed` how
 * much of the span was decided on before. A close tag of one token is decided by its probability alone; one of several
 * tokens shares its first token with other text ("<" also begins "< 3"), so the likeliest candidate is verified: the
 * rest of the tag is ingested behind it and must be at least as probable as not.
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
  const candidates: Candidate[] = [];
  for (const row of watched) {
    const length = row.textLength - base.length;
    if (row.textLength < 0 || length <= confirmed || length < 1) continue;
    const logprob = logSumExp(row.logprobs);
    if (small.close.first.includes(row.argmax) || logprob >= Math.log(threshold))
      candidates.push({ length, logprob });
  }
  if (candidates.length === 0) return null;
  if (small.close.single !== null) return candidates[0]!;
  const best = candidates.reduce((a, b) => (b.logprob > a.logprob ? b : a));
  return (await restOfTag(small, base + span.slice(0, best.length), signal)) >= Math.log(0.5) ? best : null;
}

/** Log-probability of the close tag's tokens behind its first one, after `text`. */
async function restOfTag(small: SmallSide, text: string, signal: AbortSignal): Promise<number> {
  const { close } = small;
  await small.sync(text, undefined, signal);
  const { watched } = await small.sync(text + close.text, close.full, signal);
  const inside = watched.filter((row) => row.textLength < 0 || row.textLength > text.length).slice(0, -1);
  // Where the tag's first token merged with the text, positions no longer match the usual tokens one to one.
  const aligned = inside.length === close.full.length - 1;
  return inside.reduce(
    (sum, row, i) => sum + (aligned ? row.logprobs[i + 1]! : Math.max(...row.logprobs)),
    0,
  );
}
