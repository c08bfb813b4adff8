// The first use of a library compiles it. What will draw the answer is used once while the page has nothing to do, so that a
// person who waits for the first answer waits for no compiler.

import { renderMarkdown } from '../text/markdown.ts';
import { renderMath } from '../text/math.ts';

const SAMPLES: readonly (() => unknown)[] = [
  () => renderMarkdown('**One** and\n\n1. `two`\n2. [three](https://example.org)'),
  () => renderMath('\\boxed{x^2}', false, document.createElement('span')),
  () => renderMath('\\frac{1}{2} + \\sqrt{3}', true, document.createElement('span')),
];

/** One after the other, each in idle time of its own. */
export function warmUp(): void {
  const idle = globalThis.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 1000));
  const next = (at: number): void => {
    if (at === SAMPLES.length) return;
    idle(() => {
      SAMPLES[at]!();
      next(at + 1);
    });
  };
  next(0);
}
