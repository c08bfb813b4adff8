// The tokenizer against Hugging Face's own implementation (fixtures by test/fixtures/make_tokenizers.py), and the
// streaming decoder's promise never to show half a character.
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Tokenizer } from './tokenizer.ts';

const folder = new URL('../../test/fixtures/tokenizers/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));

interface Case {
  text: string;
  ids: number[];
  full: number[];
  decoded: string;
}

const kinds = ['byte-level', 'sentence-piece'] as const;
const tokenizers = Object.fromEntries(kinds.map((k) => [k, new Tokenizer(read(`${k}.json`))])) as Record<
  (typeof kinds)[number],
  Tokenizer
>;

describe.each(kinds)('%s', (kind) => {
  const tokenizer = tokenizers[kind];
  const cases = read(`${kind}.cases.json`) as Case[];

  test.each(cases)('encodes and decodes $text as Hugging Face does', ({ text, ids, full, decoded }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    if (!text.startsWith('<|begin|>')) expect(tokenizer.encodeSequence(text)).toEqual(full);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });

  test('special tokens are single ids and come back as their own text', () => {
    const id = tokenizer.addedToken('<bigmodel>')!;
    const ids = tokenizer.encode('a<bigmodel>b');
    expect(ids.filter((i) => i === id)).toHaveLength(1);
    expect(tokenizer.decode([id], false)).toBe('<bigmodel>');
  });

  test('streaming never shows half a character', () => {
    const text = 'x 🦉🙃 👩‍👩‍👧 你好';
    const stream = tokenizer.stream(true);
    const pieces = tokenizer.encode(text).map((id) => stream.push(id));
    expect(pieces.join('')).toBe(text);
    for (const piece of pieces) expect(piece).not.toMatch(/\uFFFD/);
    expect(pieces.some((p) => p === '')).toBe(true);
    expect(stream.midCharacter).toBe(false);
  });

  test('any text streams back whole, however the tokens fall', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        const normal = tokenizer.normalize(text);
        const spelled =
          kind === 'sentence-piece' ? normal.replaceAll('\u2581', ' ').replace(/^ /, '') : normal;
        // An unpaired surrogate is not text, and added tokens cut texts where the dummy prefix space appears again.
        fc.pre(text.isWellFormed() && !text.includes('<'));
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(spelled);
      }),
      { numRuns: 100 },
    );
  });
});

test('an unfinished character is held, and is U+FFFD only at the end', () => {
  const tokenizer = tokenizers['byte-level'];
  const ids = tokenizer.encode('🙃').slice(0, -1);
  const stream = tokenizer.stream(true);
  expect(ids.map((id) => stream.push(id)).join('')).toBe('');
  expect(stream.midCharacter).toBe(true);
  expect(stream.flush()).toContain('\uFFFD');
});

test('a sequence that spells its begin token out gets no second one', () => {
  const tokenizer = tokenizers['sentence-piece'];
  const begin = tokenizer.addedToken('<|begin|>')!;
  expect(tokenizer.encodeSequence('<|begin|>Hello').filter((id) => id === begin)).toHaveLength(1);
  expect(tokenizer.silentPrefix('Hello')).toBe(1);
  expect(tokenizer.silentPrefix('<|begin|>Hello')).toBe(0);
});

test('a decoder kind that is not known is refused by name', () => {
  const json = read('byte-level.json') as Record<string, unknown>;
  expect(() => new Tokenizer({ ...json, decoder: { type: 'CTC', pad_token: '<pad>' } })).toThrow(
    /CTC.*not supported/,
  );
  expect(() => new Tokenizer({})).toThrow(/tokenizer\.json cannot be used/);
});

test.each(['WordPiece', 'words without a decoder', 'BPE with a suffix'])(
  'text that goes on behind another is spaced as in one: %s',
  (kind) => {
    const variants = read('variants.cases.json') as {
      name: string;
      base: string;
      patch: object;
      cases: Case[];
    }[];
    const { base, patch, cases } = variants.find(({ name }) => name === kind)!;
    const tokenizer = new Tokenizer({ ...(read(`${base}.json`) as object), ...patch });
    for (const { ids, decoded } of cases) {
      for (let cut = 1; cut < ids.length; cut++) {
        const rest = tokenizer.stream(false, ids[cut - 1]);
        const behind = ids.slice(cut).map((id) => rest.push(id));
        expect(tokenizer.decode(ids.slice(0, cut)) + behind.join('')).toBe(decoded);
      }
    }
  },
);

// Expected ids are of transformers 5.18, AutoTokenizer.
describe('tokens that tokenizer_config.json lists', () => {
  const token = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const of = (kind: string, listed: object) =>
    new Tokenizer(read(`${kind}.json`), { added_tokens_decoder: listed });

  test('have the flags that it gives them', () => {
    const listed = { 397: { ...token, content: '<bigmodel>', lstrip: true, rstrip: true } };
    expect(of('byte-level', listed).encode('a <bigmodel> x')).toEqual([64, 397, 87]);
    const normalized = { 3: { ...token, content: '<bigmodel>', normalized: true, special: false } };
    const pieces = of('sentence-piece', normalized);
    expect(pieces.encode('a <bigmodel> b')).toEqual([313, 281, 3, 348]);
    expect(pieces.decode([313, 281, 3, 348])).toBe('a <bigmodel> b');
  });

  test('count where tokenizer.json lacks them', () => {
    const tokenizer = of('byte-level', { 399: { ...token, content: '[NEW]', rstrip: true } });
    expect(tokenizer.encode('[NEW] z [NEW]')).toEqual([399, 89, 220, 399]);
    expect(tokenizer.decode([399, 89, 220, 399])).toBe('[NEW]z [NEW]');
    expect(tokenizer.addedToken('[NEW]')).toBe(399);
  });

  test('may be nothing', () => {
    for (const listed of [null, {}, { 3: null }]) {
      const tokenizer = new Tokenizer(read('byte-level.json'), { added_tokens_decoder: listed });
      expect(tokenizer.encode('a <bigmodel> x')).toEqual(tokenizers['byte-level'].encode('a <bigmodel> x'));
    }
  });
});
