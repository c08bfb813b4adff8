// What the annotator model is asked, and how its answer is read. The wording is ours; quotes come back between tags, because
// a language model copies text far more reliably than it counts characters.

const OPEN = '<step>';
const CLOSE = '</step>';

/** @param share Wanted share of the characters, e.g. 0.2. */
export function annotatorPrompt(row: { question: string; text: string }, share: number): string {
  const wanted = Math.max(1, Math.round(row.text.length * share));
  return [
    'Below are a problem and the full reasoning that somebody wrote to solve it.',
    'A weak assistant can write the easy parts of such reasoning. A strong assistant is called in for the hard parts only.',
    'Pick the passages that the strong assistant should write: the ones where a weak assistant would most likely go wrong,',
    'such as a demanding calculation, a key insight, a choice between approaches, or a subtle case distinction.',
    '',
    'Rules:',
    `- Copy each passage word for word from the reasoning, between ${OPEN} and ${CLOSE}. Change nothing, shorten nothing.`,
    '- A passage is one to a few consecutive sentences or lines. Put the hardest passage first.',
    `- Together the passages should have about ${wanted} of the ${row.text.length} characters of the reasoning.`,
    `- Write nothing except the passages. If every part is easy, write ${OPEN}${CLOSE} once.`,
    '',
    'Problem:',
    row.question,
    '',
    'Reasoning:',
    row.text,
    '',
    'Passages:',
  ].join('\n');
}

/**
 * The quoted passages of a reply, in order; an empty list when the annotator says that nothing is hard. Null when the reply
 * holds no passage at all: prose without tags is a failed attempt, not a list of passages.
 */
export function readPassages(reply: string): string[] | null {
  const found: string[] = [];
  let seen = false;
  // A last passage that was cut off by the token limit still counts: alignment decides whether it is usable.
  for (const match of reply.matchAll(/<step>([\s\S]*?)(?:<\/step>|(?=<step>)|$)/g)) {
    seen = true;
    const passage = match[1]!.trim();
    if (passage !== '') found.push(passage);
  }
  return seen ? found : null;
}
