import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  CLOSE_TAG,
  OPEN_TAG,
  insertTags,
  normaliseSpans,
  readTags,
  stripTags,
  taggedTextFault,
} from './spans.ts';

const text = fc.string({ unit: 'binary', maxLength: 80 });
const spans = fc.array(
  fc.record({ start: fc.integer({ min: -5, max: 90 }), end: fc.integer({ min: -5, max: 90 }) }),
  { maxLength: 6 },
);

test('for any text and any spans: tags in and out restore the source, and the spans read back', () => {
  fc.assert(
    fc.property(text, spans, fc.nat({ max: 12 }), (source, wanted, gap) => {
      const kept = normaliseSpans(wanted, source, gap);
      const tagged = insertTags(source, kept);
      expect(stripTags(tagged)).toBe(source);
      expect(readTags(tagged)).toEqual({ text: source, spans: kept });
      expect(taggedTextFault(source, tagged)).toBeNull();
      expect(Buffer.from(stripTags(tagged))).toEqual(Buffer.from(source));
    }),
  );
});

test('normalised spans are sorted, apart by more than the gap, and cover everything asked for', () => {
  fc.assert(
    fc.property(text, spans, fc.nat({ max: 12 }), (source, wanted, gap) => {
      const kept = normaliseSpans(wanted, source, gap);
      for (const [i, span] of kept.entries()) {
        expect(span.end).toBeGreaterThan(span.start);
        if (i > 0) expect(span.start - kept[i - 1]!.end).toBeGreaterThan(gap);
      }
      for (const { start, end } of wanted) {
        const [from, to] = [Math.max(0, start), Math.min(source.length, end)];
        if (to > from) expect(kept.some((span) => span.start <= from && span.end >= to)).toBe(true);
      }
    }),
  );
});

test('an edge inside a surrogate pair moves outwards', () => {
  expect(normaliseSpans([{ start: 2, end: 4 }], 'a\u{1f600}\u{1f600}b')).toEqual([{ start: 1, end: 5 }]);
});

test.each([
  ['a tag in the source', `say ${OPEN_TAG}`, `say ${OPEN_TAG}`, /source itself holds <bigmodel>/],
  ['an open span', 'ab', `a${OPEN_TAG}b`, /not balanced/],
  ['nested spans', 'ab', `${OPEN_TAG}a${OPEN_TAG}b${CLOSE_TAG}${CLOSE_TAG}`, /not balanced/],
  ['a backslash close tag', 'ab', `${OPEN_TAG}ab<\\bigmodel>`, /not balanced/],
  ['padding around a tag', 'ab', `a ${OPEN_TAG}b${CLOSE_TAG}`, /does not restore/],
  ['another text', 'ab', `x${OPEN_TAG}b${CLOSE_TAG}`, /does not restore/],
])('%s is found', (_, source, tagged, message) => {
  expect(taggedTextFault(source, tagged)).toMatch(message);
});
