// What exhaustive probing would have decided: the small model is given every prefix of a span on its own and asked for
// its next token. The measure for hand-back decisions that were made in one pass.

import type { TextModel, TextSession } from '@baton/runtime/text-model';

import type { Tags } from '../text/tags.ts';
import type { Trace } from '../trace.ts';

export interface SpanAgreement {
  segment: number;
  /** Characters kept by decision; null: the small model never decided, the span ended by itself. */
  decided: number | null;
  /** Characters that exhaustive probing keeps; null: it never closes within what was written. */
  exhaustive: number | null;
  agrees: boolean;
}

/**
 * Checks each span, also those that the small model let run on: not to decide is a decision. `boundaries` gives the places where the large model's tokens
 * end; those where the small model's tokens end are tried as well, because the baton can be taken there.
 */
export async function compareWithExhaustive(
  trace: Trace,
  small: TextModel,
  tags: Tags,
  boundaries: (before: string, span: string) => Promise<readonly number[]>,
): Promise<SpanAgreement[]> {
  const session = await small.openSession!();
  try {
    const [close] = await session.encode(tags.close);
    const found: SpanAgreement[] = [];
    let text = trace.prompt;
    let plain = trace.prompt;
    for (const [index, segment] of trace.segments.entries()) {
      if (segment.origin === 'small') {
        text += segment.text;
        plain += segment.text;
        continue;
      }
      text += tags.open;
      const whole = segment.text + (segment.discardedText ?? '');
      const places = new Set([...(await boundaries(plain, whole)), ...(await tokenEnds(small, text, whole))]);
      const sorted = [...places].sort((a, b) => a - b);
      const exhaustive = await earliest(session, text, whole, sorted, close!);
      const decided = segment.decisionLogprob === undefined ? null : segment.text.length;
      found.push({ segment: index, decided, exhaustive, agrees: exhaustive === decided });
      text += segment.text + tags.close;
      plain += segment.text;
    }
    return found;
  } finally {
    await session.close();
  }
}

async function earliest(
  session: TextSession,
  base: string,
  span: string,
  places: readonly number[],
  close: number,
): Promise<number | null> {
  for (const length of places) {
    if (length < 1 || length > span.length) continue;
    // A fresh start for each prefix: nothing of the neighbouring prefixes' tokens is reused at the seam.
    await session.sync(base);
    const { watched } = await session.sync(base + span.slice(0, length), { watch: [close] });
    if (watched.at(-1)?.argmax === close) return length;
  }
  return null;
}

/** Where `model`'s tokens end inside `span` after `before`. */
export async function tokenEnds(model: TextModel, before: string, span: string): Promise<readonly number[]> {
  const session = await model.openSession!();
  try {
    await session.sync(before);
    const { watched } = await session.sync(before + span, { watch: [0] });
    return watched.map((row) => row.textLength - before.length).filter((length) => length > 0);
  } finally {
    await session.close();
  }
}
