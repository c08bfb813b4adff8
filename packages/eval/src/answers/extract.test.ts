import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { extractAnswer } from './extract.ts';

test.each([
  ['so \\boxed{42}.', '42', 'boxed'],
  ['first \\boxed{1}, no: \\boxed{2}', '2', 'boxed'],
  ['\\boxed{\\frac{1}{2}} done', '\\frac{1}{2}', 'boxed'],
  ['\\fbox{ 7 }', '7', 'boxed'],
  ['\\boxed {8}', '8', 'boxed'],
  ['\\boxed{\\{1, 2\\}}', '\\{1, 2\\}', 'boxed'],
  ['\\boxed{9} and then \\boxed{1', '9', 'boxed'],
  ['\\boxed{9}\nWrite it as \\boxed{}', '9', 'boxed'],
  ['steps\n#### 1,234\n', '1,234', 'hash'],
  ['The answer is 3.5.', '3.5', 'phrase'],
  ['**Answer:** 12', '** 12', 'phrase'],
  ['**Answer**: 12', '12', 'phrase'],
  ['**Final Answer**: **7**.', '7', 'phrase'],
  ['the answer is 1 maybe</think>The final answer is: 2.', '2', 'phrase'],
  ['Answer: 5\nAnswer: 6', '6', 'phrase'],
])('%j states %j by rule %s', (text, answer, rule) => {
  const found = extractAnswer(text);
  expect(found?.rule).toBe(rule);
  expect(found?.text).toBe(answer.replace(/^\*\* /, ''));
});

test.each([
  '',
  'so 12 + 30 = 42',
  '\\boxed{',
  '\\boxed{}',
  '\\boxed{12',
  'the answer is',
  'the answer is 1 maybe</think>Done.',
])('%j states nothing', (text) => {
  expect(extractAnswer(text)).toBeNull();
});

test('whatever stands around it, the last balanced box is found', () => {
  const brace = fc.stringMatching(/^[a-z0-9 +=.]{0,12}$/);
  fc.assert(
    fc.property(brace, fc.integer(), fc.nat({ max: 4 }), brace, (before, value, depth, after) => {
      const inside = '{'.repeat(depth) + value + '}'.repeat(depth);
      expect(extractAnswer(`${before}\\boxed{0}${before}\\boxed{${inside}}${after}`)?.text).toBe(inside);
    }),
  );
});
