// Encoding only what is new of a growing text must give the ids of encoding all of it, for every kind of tokenizer.
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrowingText } from './growing-text.ts';
import { Tokenizer } from './tokenizer.ts';

/** Texts of up to 25 edits each; 3,000 of each kind were run once. */
const RUNS = 100;

type Spec = Record<string, unknown> & { added_tokens: object[]; pre_tokenizer: unknown };
const read = (path: string): Spec => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Spec;
const DEMO = read('../../../../models/demo-small/tokenizer.json');
const QWEN = read('../../test/fixtures/tokenizers/byte-level.json');
const GPT2 = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const LLAMA3 = JSON.parse(
  JSON.stringify(QWEN.pre_tokenizer).replace('|\\\\p{N}|', '|\\\\p{N}{1,3}|'),
) as unknown;

const BITS =
  "a|The |loaves| loaves| the red| É|ét|don't| |  |\n|\n\n|\r\n|\t|12|345|+|=|.|'s|\n'll|<|<big|<bigmodel>|</bigmodel>|<think>".split(
    '|',
  );
const bits = fc.constantFrom(...BITS, 'é', 'e', '\u0301', '\n\u0301', '你好', '🙂', '👩‍👩‍👧', '\ud83d');
/** A text, and what happens to it: so many characters are cut off its end, and a piece is written behind it. */
const edits = fc.array(
  fc.record({ cut: fc.oneof(fc.constant(0), fc.nat(12)), piece: fc.array(bits, { maxLength: 6 }) }),
  { minLength: 1, maxLength: 25 },
);

const BOTH = { lines: true, words: true };
const fast: readonly (readonly [string, Spec])[] = [
  ['the demo pair', DEMO],
  ['Qwen 2', QWEN],
  ['Llama 3', { ...QWEN, pre_tokenizer: LLAMA3 }],
  ['GPT-2', { ...QWEN, pre_tokenizer: GPT2, normalizer: null }],
];
const partly: readonly (readonly [string, Spec, Partial<typeof BOTH>])[] = [
  ['an added token over the line', withAdded({ content: '.\n<' }), { lines: false }],
  ['an added token over a word', withAdded({ content: 's t' }), { words: false }],
  ['bytes that split at line feeds only', { ...QWEN, pre_tokenizer: split('[.\\n]') }, { words: false }],
];
const whole: readonly (readonly [string, Spec])[] = [
  ['SentencePiece', read('../../test/fixtures/tokenizers/sentence-piece.json')],
  ['bytes without a splitter', { ...QWEN, pre_tokenizer: { ...GPT2, use_regex: false } }],
  ['a pattern that nobody knows', { ...QWEN, pre_tokenizer: split('\\n?[a-z]+|.') }],
  ['an added token that takes white space', withAdded({ content: '<x>', lstrip: true })],
];

function split(Regex: string): object {
  const cut = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
  return { type: 'Sequence', pretokenizers: [cut, { ...GPT2, use_regex: false }] };
}

function withAdded(token: object): Spec {
  const id = 399;
  return {
    ...QWEN,
    added_tokens: [...QWEN.added_tokens, { id, special: true, normalized: false, ...token }],
  };
}

const kinds = [
  ...fast.map(([name, spec]) => ({ name, spec, seams: BOTH })),
  ...partly.map(([name, spec, seams]) => ({ name, spec, seams: { ...BOTH, ...seams } })),
  ...whole.map(([name, spec]) => ({ name, spec, seams: { lines: false, words: false } })),
];

describe.each(kinds)('a text that grows, $name', ({ spec, seams }) => {
  const tokenizer = new Tokenizer(spec);

  it('is cut where no token reaches over', () => {
    expect(tokenizer.seams).toEqual(seams);
  });

  it('has the ids of the whole text', () => {
    fc.assert(
      fc.property(edits, (list) => {
        const growing = new GrowingText(tokenizer);
        let text = '';
        for (const { cut, piece } of list) {
          text = text.slice(0, Math.max(0, text.length - cut)) + piece.join('');
          expect(growing.encode(text)).toEqual(tokenizer.encode(text));
        }
      }),
      { numRuns: RUNS },
    );
  });
});
