// Tokenizers that the library reads otherwise than Hugging Face's own implementation does, which the expected ids and texts are from
// (tokenizers 0.23.2, by test/fixtures/make_tokenizers.py).
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Tokenizer } from './tokenizer.ts';

const folder = new URL('../../test/fixtures/tokenizers/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));

const variants = read('variants.cases.json') as {
  name: string;
  base: string;
  patch: object;
  cases: { text: string; ids: number[]; decoded: string }[];
}[];

describe.each(variants)('$name', ({ base, patch, cases }) => {
  const tokenizer = new Tokenizer({ ...(read(`${base}.json`) as object), ...patch });

  test.each(cases)('encodes and decodes $text as Hugging Face does', ({ text, ids, decoded }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });
});
