import { expect, test } from 'vitest';
import { rawLengths } from './normalized-lengths.ts';

const nfc = (t: string): string => t.normalize('NFC');
const marked = (t: string): string => `\u2581${t.replaceAll(' ', '\u2581')}`;

test('lengths in the composed text are found in the text as it was given', () => {
  const text = 'Cafe\u0301 bar';
  const raw = rawLengths(text, nfc(text), nfc);
  expect(nfc(text).slice(0, 4)).toBe('Café'.normalize('NFC'));
  expect(text.slice(0, raw(4))).toBe('Cafe\u0301');
  expect(raw(nfc(text).length)).toBe(text.length);
  expect(rawLengths('plain', 'plain', nfc)(3)).toBe(3);
});

test.each([
  ['a line’s end that a tag takes', '<user>\nHi<end>\n', '<user>Hi<end>', [6, 8, 13], [7, 9, 15]],
  ['a space that comes in behind a tag', '<user>\nHi', '<user> \nHi', [6, 8, 10], [6, 7, 9]],
  ['spaces that a splitter drops', 'a  b ', 'a b', [2, 3], [3, 5]],
  ['what the vocabulary lacks', 'a 你 b', 'a <unk> b', [2, 7, 8, 9], [2, 3, 4, 5]],
])('%s', (_, text, spelled, lengths, expected) => {
  const raw = rawLengths(text, spelled, marked);
  expect(lengths.map(raw)).toEqual(expected);
});
