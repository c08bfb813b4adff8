// Exact small-versus-trace disagreement in one pass. The model reads the whole trace once; a step that contains a token which
// was not its most likely one is a step that greedy decoding from the step's start would not have written, because greedy
// decoding follows the trace exactly up to the first such token. One pass thus equals a generation per step.

import type { TextSession } from '@baton/runtime/text-model';

import { AnnotateError } from '../annotate-error.ts';
import type { Span } from '../spans.ts';

/**
 * For each step, where its first token begins that differs from the model's own choice (an offset into `text`), or null.
 * The session must be empty.
 */
export async function forcedDisagreement(
  session: TextSession,
  prompt: string,
  text: string,
  steps: readonly Span[],
  signal: AbortSignal,
): Promise<(number | null)[]> {
  const whole = prompt + text;
  const ids = await session.encode(whole);
  const { watched } = await session.sync(whole, { watch: [], signal });
  // A begin-of-text token stands before the ids of the bare string.
  const lead = watched.length - ids.length;
  if (lead < 0 || lead > 1) {
    throw new AnnotateError(`the model read ${watched.length} tokens where the text has ${ids.length}`);
  }
  const divergence: (number | null)[] = steps.map(() => null);
  let step = 0;
  let from = 0;
  for (let i = 0; i < ids.length; i++) {
    const length = watched[i + lead]!.textLength;
    // -1: the token ends inside a character; the next one closes it.
    const to = length === -1 ? from : length - prompt.length;
    while (step < steps.length && steps[step]!.end <= from) step++;
    const before = watched[i + lead - 1];
    const inStep = step < steps.length && to > steps[step]!.start;
    if (before && before.argmax !== ids[i] && inStep) divergence[step] ??= Math.max(from, steps[step]!.start);
    from = Math.max(from, to);
  }
  return divergence;
}
