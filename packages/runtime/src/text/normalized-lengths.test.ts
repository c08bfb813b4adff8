import { expect, test } from 'vitest';
import { rawLengths } from './normalized-lengths.ts';

test('lengths in the composed text are found in the text as it was given', () => {
  const nfc = (t: string): string => t.normalize('NFC');
  const text = 'Cafe\u0301 bar';
  const raw = rawLengths(text, nfc);
  expect(nfc(text).slice(0, 4)).toBe('Café'.normalize('NFC'));
  expect(text.slice(0, raw(4))).toBe('Cafe\u0301');
  expect(raw(nfc(text).length)).toBe(text.length);
  expect(rawLengths('plain', nfc)(3)).toBe(3);
});
