import { describe, expect, it } from 'vitest';
import type { SolveEvent } from '@baton/split';
import { EMPTY, advance } from '../run/live-trace.ts';
import { figuresOf, seconds } from './figures.ts';

const EVENTS: SolveEvent[] = [
  { type: 'segment-start', index: 0, origin: 'small', startMs: 0 },
  { type: 'text', index: 0, origin: 'small', text: 'First ', tokens: 1, atMs: 100 },
  { type: 'text', index: 0, origin: 'small', text: '47*36=', tokens: 4, atMs: 500 },
  {
    type: 'segment-end',
    index: 0,
    segment: {
      origin: 'small',
      text: 'First 47*36=',
      tokens: 5,
      discardedTokens: 0,
      startMs: 0,
      firstTokenMs: 100,
      endMs: 500,
      reason: 'hand-off',
    },
  },
  { type: 'segment-start', index: 1, origin: 'large', startMs: 500 },
  { type: 'text', index: 1, origin: 'large', text: '1692.', tokens: 3, atMs: 600 },
];

describe('a live trace', () => {
  it('holds the text of every author as it comes', () => {
    const live = EVENTS.reduce(advance, EMPTY);
    expect(live.segments.map((s) => [s.origin, s.text, s.tokens, s.reason])).toEqual([
      ['small', 'First 47*36=', 5, 'hand-off'],
      ['large', '1692.', 3, null],
    ]);
  });

  it('gives figures while it grows', () => {
    const { segments } = EVENTS.reduce(advance, EMPTY);
    const figures = figuresOf(segments, 1100, null);
    expect(figures.offloadRatio).toBe(3 / 8);
    expect(figures.offloadSpans).toBe(1);
    // Four tokens after the first, in 400 ms.
    expect(figures.small.perSecond).toBe(10);
    // Three tokens in the 600 ms since they were asked for.
    expect(figures.large.perSecond).toBe(5);
  });

  it('tells the speed of a stream that came all at once from its request on', () => {
    const { segments } = EVENTS.reduce(advance, EMPTY);
    const [, asked] = segments;
    const burst = { ...asked!, tokens: 100, firstTokenMs: 2499, lastTokenMs: 2500, endMs: 2501 };
    expect(figuresOf([burst], 2501, null).large).toEqual({ tokens: 100, perSecond: 50 });
  });

  it('counts no span in which nothing was written', () => {
    const { segments } = EVENTS.slice(0, 5).reduce(advance, EMPTY);
    expect(segments.at(-1)?.origin).toBe('large');
    expect(figuresOf(segments, 1100, null).offloadSpans).toBe(0);
  });

  it('has no speed without a second token', () => {
    expect(figuresOf([], 0, null).small).toEqual({ tokens: 0, perSecond: null });
  });
});

describe('a duration', () => {
  it.each([
    [999.4, '999 ms'],
    [999.6, '1.0 s'],
    [59_940, '59.9 s'],
    [59_960, '1 min 0 s'],
    [119_400, '1 min 59 s'],
    [119_600, '2 min 0 s'],
  ])('of %d ms reads %s', (ms, text) => expect(seconds(ms)).toBe(text));
});
