// Stop strings must be found wherever the pieces are cut, and nothing of one may be shown before.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopStrings } from './stop-strings.ts';

function feed(
  stops: readonly string[],
  pieces: readonly string[],
): { shown: string; stopped: string | undefined } {
  const finder = new StopStrings(stops);
  let shown = '';
  for (const piece of pieces) {
    const { text, match } = finder.push(piece);
    shown += text;
    if (match !== undefined) return { shown, stopped: match };
  }
  return { shown: shown + finder.flush(), stopped: undefined };
}

test('a stop string across pieces ends the text before it', () => {
  expect(feed(['\n\n'], ['one\n', '\ntwo'])).toEqual({ shown: 'one', stopped: '\n\n' });
  expect(feed(['</think>'], ['a</thi', 'nk', '>b'])).toEqual({ shown: 'a', stopped: '</think>' });
});

test('text that only looked like a stop string is shown in the end', () => {
  expect(feed(['</think>'], ['a</thi', 'ng'])).toEqual({ shown: 'a</thing', stopped: undefined });
  expect(feed(['ab'], ['xa'])).toEqual({ shown: 'xa', stopped: undefined });
});

test('of two at one place the longer counts, and empty ones never', () => {
  expect(feed(['ab', 'abc', ''], ['xabcd'])).toEqual({ shown: 'x', stopped: 'abc' });
});

test('however the text is cut, the result of one stop string is that of the whole text', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 12 });
  fc.assert(
    fc.property(
      letters,
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(11), { maxLength: 4 }),
      (text, stop, cuts) => {
        const at = [0, ...cuts.filter((c) => c < text.length), text.length].sort((a, b) => a - b);
        const pieces = at.slice(1).map((end, i) => text.slice(at[i], end));
        const found = text.indexOf(stop);
        expect(feed([stop], pieces)).toEqual(
          found < 0 ? { shown: text, stopped: undefined } : { shown: text.slice(0, found), stopped: stop },
        );
      },
    ),
  );
});
