// Finds the final answer in the text of a trace. The rules are few, in a fixed order, and each result says which one
// found it; there is no guess such as "the last number seen", because a trace that was cut off would then be credited
// with whatever it happened to be writing.

import { lastBoxed } from '@baton/split';

export type ExtractionRule = 'boxed' | 'hash' | 'phrase';

export interface ExtractedAnswer {
  /** The answer as written, trimmed; never empty. */
  text: string;
  rule: ExtractionRule;
}

/**
 * The final answer of a trace, or null. In order:
 * 1. the last \boxed{...} or \fbox{...} with balanced braces and something inside (an unfinished or empty box is
 *    passed over, so that neither a cut-off trace nor a prompt's "\boxed{}" counts);
 * 2. the last line of the form "#### answer" (GSM8K's form);
 * 3. the last "answer is ..." or "answer: ...", to the end of its sentence or line, after </think> when there is one.
 */
export function extractAnswer(text: string): ExtractedAnswer | null {
  const boxed = lastBoxed(text);
  if (boxed !== null) return { text: boxed, rule: 'boxed' };
  const hash = lastMatch(text, /^####[ \t]*(\S.*)$/gm);
  if (hash !== null) return { text: hash, rule: 'hash' };
  const end = text.lastIndexOf('</think>');
  const spoken = end === -1 ? text : text.slice(end + '</think>'.length);
  const phrase = lastMatch(spoken, /\banswer(?:\*\*|__)?(?:[ \t]+is[ \t]*:?|[ \t]*[:=])[ \t]*(\S[^\n]*)/gi);
  const cleaned = phrase === null ? '' : endOfSentence(phrase);
  return cleaned === '' ? null : { text: cleaned, rule: 'phrase' };
}

function lastMatch(text: string, pattern: RegExp): string | null {
  let found: string | null = null;
  for (const match of text.matchAll(pattern)) found = match[1]!.trim();
  return found;
}

/** Cuts at the first full stop that ends a sentence (not a decimal point) and drops emphasis marks. */
function endOfSentence(text: string): string {
  const stop = text.search(/[.!?](?:\s|$)/);
  const sentence = stop === -1 ? text : text.slice(0, stop);
  return sentence
    .replace(/\*\*|__/g, '')
    .replace(/[\s.,;]+$/, '')
    .trim();
}
