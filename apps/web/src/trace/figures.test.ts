import { describe, expect, it } from 'vitest';
import type { SolveEvent } from '@baton/split';
import { EMPTY, advance } from '../run/live-trace.ts';
import { figuresOf } from './figures.ts';

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
    // Two tokens after the first, in the 500 ms up to now.
    expect(figures.large.perSecond).toBe(4);
  });

  it('has no speed without a second token', () => {
    expect(figuresOf([], 0, null).small).toEqual({ tokens: 0, perSecond: null });
  });
});
