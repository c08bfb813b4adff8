// Annotation by measurement: a step is marked where the small model, continuing greedily from the trace so far, writes
// something else than the large model does (or than the trace, when no large model is given).

import type { TextModel } from '@baton/runtime/text-model';

import { AnnotateError } from '../annotate-error.ts';
import type { Annotate } from '../annotated-row.ts';
import { normaliseSpans } from '../spans.ts';
import type { Span } from '../spans.ts';
import { openContinuer } from './continuation.ts';
import type { Continuer } from './continuation.ts';
import { sameStep } from './same-step.ts';
import type { StepComparison } from './same-step.ts';
import { firstStep, splitSteps } from './steps.ts';
import { forcedDisagreement } from './teacher-forcing.ts';

export type SpanStart = 'step' | 'error';

export interface DisagreementOptions {
  small: TextModel;
  /** The reference; without it the trace itself is the reference. */
  large?: TextModel;
  /** Default exact. */
  comparison?: StepComparison;
  /** Where a span begins: with the step (default), or at the word or number in which small first goes wrong. */
  from?: SpanStart;
  /** Marked steps at most so many characters apart become one span. Default 1: neighbouring lines. */
  mergeGap?: number;
}

/** A continuation is cut at this many tokens beyond the step's characters (a token is at least about one character). */
const EXTRA_TOKENS = 16;

/** Makes an annotator that compares models; call `close` when done. */
export function disagreementAnnotator(options: DisagreementOptions): {
  annotate: Annotate;
  close(): Promise<void>;
} {
  const { small, large, comparison = 'exact', from = 'step', mergeGap = 1 } = options;
  const opened: { small?: Promise<Continuer>; large?: Promise<Continuer> } = {};
  // One row at a time: the sessions behind the continuers hold one text each.
  let last: Promise<unknown> = Promise.resolve();
  const annotate: Annotate = async (row, signal) => {
    const prompt = row.prompt ?? (await promptOf(small, row.question));
    const steps = splitSteps(row.text);
    if (steps.length === 0) throw new AnnotateError('the trace has no step to compare');
    if (comparison === 'exact' && !large && small.capabilities.sessions && small.openSession) {
      const session = await small.openSession();
      try {
        const divergence = await forcedDisagreement(session, prompt, row.text, steps, signal);
        return { spans: marked(row.text, steps, divergence, from, mergeGap), calls: 1, notes: [] };
      } finally {
        await session.close();
      }
    }
    const smallContinuer = await (opened.small ??= openContinuer(small));
    const largeContinuer = large ? await (opened.large ??= openContinuer(large)) : null;
    const divergence: (number | null)[] = [];
    let calls = 0;
    for (const { start, end } of steps) {
      const prefix = prompt + row.text.slice(0, start);
      const limit = end - start + EXTRA_TOKENS;
      const own = firstStep(await smallContinuer.after(prefix, limit, signal));
      const largePrompt = largeContinuer ? await referencePrompt(large!, row, prompt) : '';
      const step = row.text.slice(start, end);
      const reference = largeContinuer
        ? firstStep(await largeContinuer.after(largePrompt + row.text.slice(0, start), limit, signal))
        : step;
      calls += largeContinuer ? 2 : 1;
      divergence.push(sameStep(own, reference, comparison) ? null : start + firstDifference(own, step));
    }
    return { spans: marked(row.text, steps, divergence, from, mergeGap), calls, notes: [] };
  };
  return {
    annotate(row, signal) {
      const result = last.then(() => annotate(row, signal));
      last = result.catch(() => undefined);
      return result;
    },
    async close() {
      await last;
      await (await opened.small)?.close();
      await (await opened.large)?.close();
    },
  };
}

async function referencePrompt(
  large: TextModel,
  row: { question: string; prompt: string | null },
  prompt: string,
): Promise<string> {
  return row.prompt === null && large.renderChat ? promptOf(large, row.question) : prompt;
}

async function promptOf(model: TextModel, question: string): Promise<string> {
  if (!model.renderChat) return `${question}\n`;
  return model.renderChat([{ role: 'user', content: question }], { addGenerationPrompt: true });
}

/** Length of the common beginning; 0 where one contains the other, since then no place of the step is the wrong one. */
function firstDifference(own: string, step: string): number {
  let at = 0;
  while (at < own.length && at < step.length && own[at] === step[at]) at++;
  return at === step.length || at === own.length ? 0 : at;
}

function marked(
  text: string,
  steps: readonly Span[],
  divergence: readonly (number | null)[],
  from: SpanStart,
  mergeGap: number,
): Span[] {
  const spans = steps.flatMap(({ start, end }, i): Span[] => {
    const at = divergence[i]!;
    if (at === null) return [];
    return [{ start: from === 'step' ? start : Math.max(start, wordStart(text, at)), end }];
  });
  return normaliseSpans(spans, text, mergeGap);
}

/** Start of the word or number around an offset: a hand-off in the middle of a number would come too late. */
function wordStart(text: string, at: number): number {
  let start = at;
  while (start > 0 && /[\p{L}\p{N}.,]/u.test(text[start - 1]!) && /[\p{L}\p{N}.,]/u.test(text[start] ?? ' '))
    start--;
  return start;
}
