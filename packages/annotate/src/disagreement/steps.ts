// A trace cut into steps: lines, and sentences within lines. A step is the unit at which two models are compared, because
// it is the unit at which a hand-off makes sense.

import type { Span } from '../spans.ts';

const sentences = new Intl.Segmenter('en', { granularity: 'sentence' });

/** Steps in order, without the white space between them; markers such as <think> alone are not steps. */
export function splitSteps(text: string): Span[] {
  const steps: Span[] = [];
  let lineStart = 0;
  for (const line of text.split('\n')) {
    for (const { segment, index } of sentences.segment(line)) {
      const lead = segment.length - segment.trimStart().length;
      const start = lineStart + index + lead;
      const end = start + segment.trim().length;
      if (/[\p{L}\p{N}]/u.test(segment.replace(/<[^<>]*>/g, ''))) steps.push({ start, end });
    }
    lineStart += line.length + 1;
  }
  return steps;
}

/** The first step of a continuation, or an empty string. */
export function firstStep(text: string): string {
  const [step] = splitSteps(text);
  return step ? text.slice(step.start, step.end) : '';
}
