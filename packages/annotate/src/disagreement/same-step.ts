// Whether two wordings of one step agree.

/**
 * exact: the same characters, white space apart. numbers: the same numbers in the same order, whatever the words around
 * them; steps without any number on either side fall back to exact, since then the words are all there is.
 */
export type StepComparison = 'exact' | 'numbers';

export function sameStep(a: string, b: string, comparison: StepComparison): boolean {
  if (comparison === 'numbers') {
    const [left, right] = [numbersOf(a), numbersOf(b)];
    if (left.length > 0 || right.length > 0) return left.join(' ') === right.join(' ');
  }
  return squeeze(a) === squeeze(b);
}

function squeeze(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** A minus directly before a number and not directly behind something ("7-5", "7 - 5": no sign); commas between thousands only. */
const NUMBER = /((?<![\p{L}\p{N}.)\]}!%])[-\u2212])?(\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?)/gu;

function numbersOf(text: string): string[] {
  return [...text.matchAll(NUMBER)].map(
    ([, minus, digits]) => (minus ? '-' : '') + digits!.replaceAll(',', ''),
  );
}
