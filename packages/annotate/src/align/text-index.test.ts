import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bandedMatch } from './banded-match.ts';
import { TextIndex } from './text-index.ts';

const TEXT = [
  'First we read the problem: a baker has 38 trays with 95 rolls each.',
  'So 95 * 38 = 95 * 30 + 95 * 8 = 2850 + 760 = 3610 rolls.',
  'He sells 10 of them \u2014 \u201cthe best ones\u201d \u2014 so 3600 are left.',
  'Check: 95 * 38 = 95 * 30 + 95 * 8 = 2850 + 760 = 3610 rolls.',
].join('\n');

/** Plain Levenshtein distance: the reference for the banded one. */
function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

test.each<[string, string, string]>([
  ['verbatim', 'He sells 10 of them', 'exact'],
  ['other case, spacing and line breaks', 'first WE read\n the  problem:', 'normalised'],
  ['typed quotes and dashes', 'them - "the best ones" - so', 'normalised'],
  ['a changed word and a lost one', 'He sold 10 of them - "the best ones", so 3600 left', 'approximate'],
])('finds a snippet with %s', (_, snippet, how) => {
  const match = new TextIndex(TEXT).locate(snippet)!;
  expect(match.how).toBe(how);
  const found = TEXT.slice(match.start, match.end);
  expect(levenshtein(found.toLowerCase(), snippet.toLowerCase())).toBeLessThan(0.3 * snippet.length);
  expect(match.identity).toBeGreaterThanOrEqual(0.8);
});

test('ends are exact, not within some tens of characters', () => {
  const match = new TextIndex(TEXT).locate('So 95 * 38 = 95 * 30 + 95 x 8 = 2850 + 761 = 3610 rolls')!;
  expect(TEXT.slice(match.start, match.end)).toBe('So 95 * 38 = 95 * 30 + 95 * 8 = 2850 + 760 = 3610 rolls');
});

test('a snippet that occurs twice is taken at or after the place asked for', () => {
  const index = new TextIndex(TEXT);
  const snippet = '95 * 38 = 95 * 30';
  const first = index.locate(snippet)!.start;
  const second = index.locate(snippet, { from: first + 1 })!.start;
  expect(second).toBe(TEXT.lastIndexOf(snippet));
  expect(index.locate(snippet, { from: TEXT.length })!.start).toBe(first);
});

test.each(['', '   ', 'a completely different sentence about penguins and ice', 'zq', '95 * 31 = 1'])(
  '%j is not found',
  (snippet) => {
    expect(new TextIndex(TEXT).locate(snippet)).toBeNull();
  },
);

test('an empty text holds nothing', () => {
  expect(new TextIndex('').locate('anything at all in here')).toBeNull();
});

test('a planted snippet with fewer edits than seeds is found at least as closely as it was planted', () => {
  const word = fc.stringMatching(/^[a-z0-9+=.]{1,8}$/);
  const words = fc.array(word, { minLength: 8, maxLength: 60 }).map((list) => list.join(' '));
  const edit = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('drop', 'change', 'add'),
    with: fc.constantFrom('#', '%'),
  });
  fc.assert(
    fc.property(words, words, words, fc.array(edit, { maxLength: 6 }), (before, snippet, after, edits) => {
      let changed = snippet;
      const budget = Math.min(edits.length, Math.floor(snippet.length / 10) - 1);
      for (const one of edits.slice(0, Math.max(0, budget))) {
        const at = 1 + (one.at % (changed.length - 2));
        const tail = changed.slice(one.kind === 'add' ? at : at + 1);
        changed = changed.slice(0, at) + (one.kind === 'drop' ? '' : one.with) + tail;
      }
      const text = `${before} ${snippet} ${after}`;
      const match = new TextIndex(text).locate(changed)!;
      const planted = levenshtein(changed.trim().replace(/\s+/g, ' '), snippet);
      const found = levenshtein(changed.trim().replace(/\s+/g, ' '), text.slice(match.start, match.end));
      expect(found).toBeLessThanOrEqual(planted);
    }),
  );
});

test('the banded distance equals the full one when the band covers the text', () => {
  const text = fc.stringMatching(/^[abc]{0,12}$/);
  fc.assert(
    fc.property(fc.stringMatching(/^[abc]{1,8}$/), text, (pattern, haystack) => {
      const match = bandedMatch(pattern, haystack, 0, 24)!;
      let best = pattern.length;
      for (let i = 0; i <= haystack.length; i++) {
        for (let j = i; j <= haystack.length; j++)
          best = Math.min(best, levenshtein(pattern, haystack.slice(i, j)));
      }
      expect(match.distance).toBe(best);
      expect(levenshtein(pattern, haystack.slice(match.start, match.end))).toBe(best);
    }),
  );
});

test('a long text with many snippets is not slow: each costs its own length, not the text', () => {
  const line = (i: number): string =>
    `Step ${i}: we add ${i * 37} to ${i * 91} and obtain ${i * 128} in total.`;
  const text = Array.from({ length: 4000 }, (_, i) => line(i)).join('\n');
  const index = new TextIndex(text);
  for (let i = 5; i < 4000; i += 40) {
    const match = index.locate(line(i).replace('obtain', 'get'))!;
    expect(text.slice(match.start, match.end)).toBe(line(i));
  }
});
