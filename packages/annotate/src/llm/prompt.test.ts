import { expect, test } from 'vitest';
import { annotatorPrompt, readPassages } from './prompt.ts';

test('the prompt holds problem and trace verbatim and states the wanted share in characters', () => {
  const prompt = annotatorPrompt({ question: 'What is $1+1$?', text: 'x'.repeat(990) + '\n\\boxed{2}' }, 0.2);
  expect(prompt).toContain('What is $1+1$?');
  expect(prompt).toContain('x'.repeat(990) + '\n\\boxed{2}');
  expect(prompt).toContain('about 200 of the 1000 characters');
});

test.each<[string, string, string[] | null]>([
  ['several passages', 'Sure:\n<step>a b</step>\n<step>\n c\nd </step> done', ['a b', 'c\nd']],
  ['a passage cut off at the end', '<step>a</step><step>b', ['a', 'b']],
  ['a missing close tag', '<step>a\n<step>b</step>', ['a', 'b']],
  ['nothing is hard', '<step></step>', []],
  ['prose without tags is not a list of passages', 'The hardest line is:\nline one\nline two', null],
  ['an empty reply', '', null],
])('%s', (_, reply, passages) => {
  expect(readPassages(reply)).toEqual(passages);
});
