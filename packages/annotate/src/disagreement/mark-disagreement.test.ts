import type { TextModel } from '@baton/runtime/text-model';
import { expect, test } from 'vitest';
import { ngramModel, promptOf } from '../../../split/test/ngram-model.ts';
import { disagreementAnnotator } from './mark-disagreement.ts';
import { splitSteps } from './steps.ts';

const QUESTION = 'A baker has 38 trays of 95 rolls and eats 10. How many are left?';
const TRACE = [
  'There are 38 trays.',
  'So 95 * 38 = 3610 rolls. After eating, 3610 - 10 = 3600.',
  '</think>',
  '\\boxed{3600}',
].join('\n');
const WRONG = TRACE.replaceAll('3610 rolls', '3510 rolls');

const signal = new AbortController().signal;
const row = { id: 'a', question: QUESTION, text: TRACE, prompt: null };
/** A model that learned one document, with sessions or seen as a plain endpoint; `asked` holds its prompts. */
function model(text: string, sessions: boolean, asked: string[] = []): TextModel {
  const local = ngramModel({ documents: [promptOf(QUESTION) + text] });
  if (sessions) return local;
  return {
    id: local.id,
    location: local.location,
    capabilities: { ...local.capabilities, sessions: false },
    renderChat: (...turns) => local.renderChat(...turns),
    generate: (prompt, options) => {
      asked.push(prompt);
      return local.generate(prompt, options);
    },
  };
}
const small = (sessions: boolean, asked?: string[]): TextModel => model(WRONG, sessions, asked);
const large = (): TextModel => model(TRACE, false);
const quoted = (spans: readonly { start: number; end: number }[]): string[] =>
  spans.map((span) => TRACE.slice(span.start, span.end));

test('only the step that the small model gets wrong is marked, from its first to its last character', async () => {
  const asked: string[] = [];
  const { annotate, close } = disagreementAnnotator({ small: small(false, asked), large: large() });
  const { spans, calls } = await annotate(row, signal);
  expect(quoted(spans)).toEqual(['So 95 * 38 = 3610 rolls.']);
  expect(calls).toBe(2 * splitSteps(TRACE).length);
  // The small model continues the trace, its own mistakes are never fed back.
  expect(asked).toHaveLength(splitSteps(TRACE).length);
  expect(asked.every((prompt) => `${promptOf(QUESTION)}${TRACE}`.startsWith(prompt))).toBe(true);
  await close();
});

test('one teacher-forced pass marks what a generation per step marks', async () => {
  const forced = disagreementAnnotator({ small: small(true) });
  const stepwise = disagreementAnnotator({ small: small(false) });
  const [one, many] = [await forced.annotate(row, signal), await stepwise.annotate(row, signal)];
  expect(one.spans).toEqual(many.spans);
  expect(quoted(one.spans)).toEqual(['So 95 * 38 = 3610 rolls.']);
  expect([one.calls, many.calls]).toEqual([1, splitSteps(TRACE).length]);
  await forced.close();
  await stepwise.close();
});

test('from the error on: the span begins with the number that the small model gets wrong, in both ways of measuring', async () => {
  for (const sessions of [true, false]) {
    const { annotate, close } = disagreementAnnotator({ small: small(sessions), from: 'error' });
    expect(quoted((await annotate(row, signal)).spans)).toEqual(['3610 rolls.']);
    await close();
  }
  const compared = disagreementAnnotator({ small: small(false), large: large(), from: 'error' });
  expect(quoted((await compared.annotate(row, signal)).spans)).toEqual(['3610 rolls.']);
});

test('through sessions with a large model, and with numbers only', async () => {
  const wordy = model(TRACE.replace('There are', 'We see'), true);
  const exact = disagreementAnnotator({ small: wordy, large: large() });
  expect(quoted((await exact.annotate(row, signal)).spans)).toEqual(['There are 38 trays.']);
  const numbers = disagreementAnnotator({ small: wordy, large: large(), comparison: 'numbers' });
  expect((await numbers.annotate(row, signal)).spans).toEqual([]);
  await exact.close();
  await numbers.close();
});

test('neighbouring wrong steps become one span, overlapping calls do not mix', async () => {
  const hopeless = ngramModel({ documents: ['zzzz'] });
  const { annotate, close } = disagreementAnnotator({ small: hopeless });
  const other = { ...row, id: 'b', text: 'Short one.\nAnd 2.' };
  const [a, b] = await Promise.all([annotate(row, signal), annotate(other, signal)]);
  expect(quoted(a.spans)).toHaveLength(2);
  expect(b.spans).toEqual([{ start: 0, end: other.text.length }]);
  await expect(annotate({ ...row, text: '...\n' }, signal)).rejects.toThrow(/no step/);
  await close();
});

test('steps: lines and sentences, decimals whole, markers and blank lines left out', () => {
  const text = '<think>\n\n  We get 2.5. Then 3!\n</think>\n---\nSo 4.';
  expect(splitSteps(text).map((step) => text.slice(step.start, step.end))).toEqual([
    'We get 2.5.',
    'Then 3!',
    'So 4.',
  ]);
  expect(splitSteps('')).toEqual([]);
});

test('an abort ends the annotation', async () => {
  const stop = new AbortController();
  stop.abort();
  const { annotate } = disagreementAnnotator({ small: small(false), large: large() });
  await expect(annotate(row, stop.signal)).rejects.toThrow(/abort|cancel/i);
});
