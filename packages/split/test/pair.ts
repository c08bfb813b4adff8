// One problem, and a pair of models that know it: the small one knows the plan and where to hand off, but has the hard
// step wrong; the large one has it right and, like any large model, writes on past the step.

import type { LocalModel } from '@baton/runtime';

import { ngramModel, promptOf } from './ngram-model.ts';
import type { NgramOptions } from './ngram-model.ts';

export const QUESTION = 'Mia has 47 boxes with 36 pens each and sells 92. How many pens are left?';
const START = 'First, all the pens: 47*36=';
const STEP = '1200+240+210+42=1440+252=1692.';
const REST = '\nThen, the pens left: 1692-92=1600.\n</think>\nThe answer is \\boxed{1600}.';
const WRONG = '1572.\nThen, the pens left: 1572-92=1480.\n</think>\nThe answer is \\boxed{1480}.';

export const ANSWER = START + STEP + REST;
export const SPAN = STEP;

const PROMPT = promptOf(QUESTION);

export const SMALL_DOCUMENTS = [
  `${PROMPT}${START}<bigmodel>${STEP}</bigmodel>${REST}`,
  // Without help it goes wrong.
  `${PROMPT}${START}${WRONG}`,
  `${PROMPT}${START}<bigmodel></bigmodel>${WRONG}`,
];
export const LARGE_DOCUMENTS = [PROMPT + START + STEP + REST];

export function smallModel(options: Partial<NgramOptions> = {}): LocalModel {
  // Twice the tagged text: asking for help is its first choice.
  const documents = [SMALL_DOCUMENTS[0]!, ...SMALL_DOCUMENTS];
  return ngramModel({ id: 'tiny-small', documents, ...options });
}

export function largeModel(options: Partial<NgramOptions> = {}): LocalModel {
  return ngramModel({
    id: 'tiny-large',
    documents: LARGE_DOCUMENTS,
    pieces: ['The ', 'pens', '12', '42', '.\nThen'],
    ...options,
  });
}
