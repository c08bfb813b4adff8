// The line under an answer.
import type { Trace } from '@baton/split';
import { expect, it } from 'vitest';
import { makeTrace } from '../../../../packages/eval/test/make-trace.ts';
import { summary } from './solve-printer.ts';

const traceOf = (largeTokens: number, large: { id: string; location: string }): Trace => {
  const trace = makeTrace([
    { origin: 'small', tokens: 1 },
    { origin: 'large', tokens: largeTokens },
  ]);
  return { ...trace, models: { ...trace.models, large } };
};

it('counts one of a thing as one', () => {
  const line = summary(traceOf(2, { id: 'l', location: 'http://there/v1' }));
  expect(line).toContain('s (test) 1 token · l (http://there/v1) 2 tokens in 1 span, 0 discarded');
});

it('names a server that was never reached once', () => {
  const address = 'http://there/v1';
  expect(summary(traceOf(1, { id: address, location: address }))).toContain(
    `· ${address} 1 token in 1 span,`,
  );
});
