// What the speculative hand-off gains: the request is sent when the first token of a tag of several tokens is likely, and
// withdrawn when the tag does not come. A pair whose tags are single tokens has no such tag; words that the small model
// writes often stand in for it.

import type { TextModel } from '@baton/runtime/text-model';

import { OpenAICompletionsModel } from '../endpoint/openai-completions.ts';
import { solveToTrace } from '../solve.ts';
import { TAGS } from '../text/tags.ts';
import { median } from './middle.ts';

export interface EarlyHandOff {
  latencyMs: number;
  /** The words that stand in for the tag, and the small model's tokens in them. */
  tag: string;
  tagTokens: number;
  /** Medians, in milliseconds: from the complete tag to the first large token. */
  waitedMs: number | null;
  earlyMs: number | null;
  /** Early requests, and those that came to nothing. */
  sent: number;
  dropped: number;
}

/** Words that demo-small begins its third sentence with. */
const STAND_IN = 'Next, the';

export async function earlyHandOff(
  small: TextModel,
  url: string,
  largeId: string,
  questions: readonly string[],
  latencyMs: number,
  signal?: AbortSignal,
): Promise<EarlyHandOff> {
  const session = await small.openSession!();
  const tagTokens = (await session.encode(STAND_IN)).length;
  await session.close();
  const waits: Record<'waited' | 'early', number[]> = { waited: [], early: [] };
  let sent = 0;
  let dropped = 0;
  for (const question of questions) {
    for (const how of ['waited', 'early'] as const) {
      const trace = await solveToTrace(question, {
        small,
        large: new OpenAICompletionsModel({ url, model: largeId }),
        tags: { open: STAND_IN, close: TAGS.close },
        earlyRequest: how === 'early',
        budget: { maxSpans: 1, maxSpanTokens: 4, maxTokens: 160 },
        ...(signal ? { signal } : {}),
      });
      sent += trace.totals.earlyRequests?.sent ?? 0;
      dropped += trace.totals.earlyRequests?.dropped ?? 0;
      const span = trace.segments.find((s) => s.origin === 'large');
      if (typeof span?.firstTokenMs === 'number') waits[how].push(span.firstTokenMs - span.startMs);
    }
  }
  return {
    latencyMs,
    tag: STAND_IN,
    tagTokens,
    waitedMs: median(waits.waited),
    earlyMs: median(waits.early),
    sent,
    dropped,
  };
}
