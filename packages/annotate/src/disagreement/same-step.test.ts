import { expect, test } from 'vitest';

import { sameStep } from './same-step.ts';

test.each([
  ['Then 7 - 5 leaves 1,000.', 'So 7-5 is 1000', true],
  ['x = -5', 'so x is \u22125.', true],
  ['x = -5', 'x = 5', false],
  ['(-3) * 4', '(3) * 4', false],
  ['the primes 1,2 and 3', 'the primes 12 and 3', false],
  ['1,2,3', '1, 2, 3', true],
  ['1.5 of 20.', '1.5 of 20', true],
])('the numbers of %j and %j agree: %s', (a, b, agree) => {
  expect(sameStep(a, b, 'numbers')).toBe(agree);
});
