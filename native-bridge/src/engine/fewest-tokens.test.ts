// The bound must never be above what the tokenizer makes of a text, and should be near it where texts are long.
import { readFileSync } from 'node:fs';
import { Tokenizer } from '@baton/runtime';
import { expect, test } from 'vitest';
import { FewestTokens } from './fewest-tokens.ts';

type Spec = { added_tokens: { content: string; rstrip: boolean }[]; normalizer: object | null };
const folder = new URL('../../../models/demo-small/', import.meta.url);
const spec = (): Spec => JSON.parse(readFileSync(new URL('tokenizer.json', folder), 'utf8')) as Spec;

const vocabulary = new Tokenizer(spec()).bytes;
const longest = Array.from({ length: vocabulary.length }, (_, id) =>
  new TextDecoder().decode(vocabulary.at(id)),
)
  .sort((a, b) => b.length - a.length)
  .slice(0, 20);
const texts = [
  '',
  'a',
  ' ',
  'Tom has 23 boxes with 47 apples each.\nHow many apples are that?',
  '你好，世界 – Größe 🙂\u0000',
  'K\u0301\u212a\u1fbe\u0308\u0301 <think>\u0338\u0301 \u1112\u1161\u11ab',
  '\ud800 half a character',
  '<|end|>      <think>   \n\n   </think>',
  ...longest,
];

/** As models have it whose tokens are bytes, and whose normaliser or added tokens take something away. */
const kinds: [string, (spec: Spec) => void][] = [
  ['bytes', () => undefined],
  ['bytes after NFC', (s) => (s.normalizer = { type: 'NFC' })],
  [
    'added tokens that take the white space behind them',
    (s) => s.added_tokens.forEach((t) => (t.rstrip = true)),
  ],
  [
    'a normaliser that strips',
    (s) => (s.normalizer = { type: 'Strip', strip_left: true, strip_right: true }),
  ],
];

test.each(kinds)('never more than there are: %s', (_kind, change) => {
  const own = spec();
  change(own);
  const tokenizer = new Tokenizer(own);
  const fewest = new FewestTokens(tokenizer);
  for (const text of texts)
    for (const long of [text, text.repeat(50)])
      expect(fewest.of(long), JSON.stringify(text)).toBeLessThanOrEqual(tokenizer.encode(long).length);
});

test('a text of nothing but its longest token has just as many', () => {
  const tokenizer = new Tokenizer(spec());
  expect(new FewestTokens(tokenizer).of('<|assistant|>'.repeat(1000))).toBe(1000);
});

test('letters, spaces and other writing all count', () => {
  const fewest = new FewestTokens(new Tokenizer(spec()));
  for (const text of ['a', ' ', 'candles left ', '世'])
    expect(fewest.of(text.repeat(20_000))).toBeGreaterThan(1024);
});
