import { expect, it } from 'vitest';
import { lastBoxed } from './boxed.ts';

it.each([
  ['so \\boxed{42}.', '42'],
  ['first \\boxed{1}, no: \\fbox{ 2 }', '2'],
  ['\\boxed {\\frac{1}{2}} done', '\\frac{1}{2}'],
  ['\\boxed{\\{1, 2\\}}', '\\{1, 2\\}'],
  ['\\boxed{9} and then \\boxed{1', '9'],
  ['\\boxed{9}\nWrite it as \\boxed{ }', '9'],
  ['\\boxed{', null],
  ['so it is 42', null],
])('the last box of %j holds %j', (text, inside) => {
  expect(lastBoxed(text)).toBe(inside);
});
