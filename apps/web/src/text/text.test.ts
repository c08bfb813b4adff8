import { describe, expect, it } from 'vitest';
import { setArithmetic, splitArithmetic } from './arithmetic.ts';
import { mathAt, mathStart } from './math.ts';
import { sectionsOf } from './sections.ts';

const shown = (line: string): string =>
  splitArithmetic(line)
    .map(({ kind, text }) =>
      kind === 'arithmetic' ? `[${setArithmetic(text).replaceAll('\u00a0', ' ')}]` : text,
    )
    .join('');

describe('arithmetic', () => {
  it.each([
    ['the pens is 47*36=', 'the pens is [47 × 36 =]'],
    ['1200+240=1440+252=1692.', '[1200 + 240 = 1440 + 252 = 1692].'],
    ['is 29 * 89 = 2581.\n', 'is [29 × 89 = 2581].\n'],
    ['left: 1692-92=1600', 'left: [1692 − 92 = 1600]'],
    ['84/4=21', '[84 ÷ 4 = 21]'],
    ['5*-3=-15', '[5 × −3 = −15]'],
    ['1,200.5+3=1,203.5', '[1,200.5 + 3 = 1,203.5]'],
  ])('sets %j', (line, wanted) => expect(shown(line)).toBe(wanted));

  it.each([
    'on 2026-11-24',
    'half is 1/2 of it',
    'v1.2.3',
    'room 12',
    'a*b*c',
    'snake_3*',
    'http://x/1-2',
    '',
  ])('leaves %j alone', (line) => expect(shown(line)).toBe(line));

  it('loses no character of a line', () => {
    const line = 'First, 47*36=1692, then 3-1 and 2026-01-02; 5*5';
    expect(
      splitArithmetic(line)
        .map(({ text }) => text)
        .join(''),
    ).toBe(line);
  });
});

describe('mathematics', () => {
  it.each([
    ['$x^2$', 'x^2'],
    ['$$\\sum_i i$$', '\\sum_i i'],
    ['\\(a\\) b', 'a'],
    ['\\[a\\]', 'a'],
    ['\\boxed{\\frac{1}{2}} rest', '\\boxed{\\frac{1}{2}}'],
  ])('finds %j', (text, tex) => expect(mathAt(text, mathStart(text))?.tex).toBe(tex));

  it.each(['$5 and $10', '\\boxed{\\frac{1', '$ x $', '\\(open', 'costs $5'])('takes %j for text', (text) => {
    const at = mathStart(text);
    expect(at < 0 ? null : mathAt(text, at)).toBeNull();
  });
});

describe('sections', () => {
  const small = (text: string) => ({ origin: 'small', text }) as const;
  const large = (text: string) => ({ origin: 'large', text }) as const;

  it('cuts at </think>, wherever the segments lie', () => {
    const { thought, answer } = sectionsOf([
      small('<think>\nFirst '),
      large('12.\n</thi'),
      small('nk>\nThe answer'),
    ]);
    expect(thought.map((p) => [p.segment, p.origin, p.text])).toEqual([
      [0, 'small', 'First '],
      [1, 'large', '12.'],
    ]);
    expect(answer.map((p) => [p.segment, p.text])).toEqual([[2, 'The answer']]);
  });

  it('takes everything for the thought while it lasts', () => {
    const { thought, answer } = sectionsOf([small('First '), large('12')]);
    expect(thought.map((p) => p.text)).toEqual(['First ', '12']);
    expect(answer).toEqual([]);
  });
});
