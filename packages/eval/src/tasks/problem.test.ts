import { expect, test } from 'vitest';
import { parseProblems, problemsOrThrow } from './problem.ts';

test('reads problems, keeps other fields, skips empty lines, takes numbers as text', () => {
  const text =
    '\uFEFF{"id":"a","question":"1+1?","answer":2,"level":3}\r\n\n{"id":7,"question":"q","answer":"\\\\frac12"}\n';
  expect(parseProblems(text, 'x.jsonl')).toEqual({
    problems: [
      { id: 'a', question: '1+1?', answer: '2', extra: { level: 3 } },
      { id: '7', question: 'q', answer: '\\frac12', extra: {} },
    ],
    errors: [],
  });
});

test('one clear error per malformed line, with its number, and the good lines are still read', () => {
  const lines = [
    '{"id":"ok","question":"q","answer":"1"}',
    '{not json',
    '[1]',
    '{"question":"q","answer":"1"}',
    '{"id":"b","question":"  ","answer":"1"}',
    '{"id":"c","question":"q"}',
    '{"id":"ok","question":"q","answer":"1"}',
    '{"id":"d","question":"q","answer":""}',
    'null',
  ];
  const { problems, errors } = parseProblems(lines.join('\n'), 't.jsonl');
  expect(problems.map((problem) => problem.id)).toEqual(['ok']);
  expect(errors.map((error) => error.split(': ')[0])).toEqual(
    [2, 3, 4, 5, 6, 7, 8, 9].map((n) => `t.jsonl:${n}`),
  );
  expect(errors[0]).toMatch(/not JSON/);
  expect(errors[3]).toMatch(/"question"/);
  expect(errors[5]).toMatch(/already used on line 1/);
  expect(errors.every((error) => !error.includes('\n'))).toBe(true);
});

test('an empty task is an error that says what was expected', () => {
  expect(() => problemsOrThrow('\n', 'empty.jsonl')).toThrow(/empty\.jsonl: no problems/);
});
