// Finds mathematics in text and renders it with KaTeX. Recognised: $$..$$, \[..\], \(..\), \boxed{..}, and $..$ by
// Pandoc's rule (no space inside the dollars, no digit after), so that prices stay prices.

import { render } from 'katex';

export interface MathPart {
  tex: string;
  display: boolean;
  /** Characters of the source that it takes. */
  length: number;
}

const START = /\$\$|\$|\\\[|\\\(|\\boxed\{/g;

/** Position where mathematics may begin at or after `from`, or -1. */
export function mathStart(text: string, from = 0): number {
  START.lastIndex = from;
  return START.exec(text)?.index ?? -1;
}

/** The mathematics that begins exactly at `at`, or null (none, or not complete yet). */
export function mathAt(text: string, at: number): MathPart | null {
  const rest = text.slice(at);
  if (rest.startsWith('\\boxed{')) return boxed(rest);
  for (const [open, close, display] of [
    ['$$', '$$', true],
    ['\\[', '\\]', true],
    ['\\(', '\\)', false],
  ] as const) {
    if (!rest.startsWith(open)) continue;
    const end = rest.indexOf(close, open.length);
    if (end <= open.length) return null;
    return { tex: rest.slice(open.length, end), display, length: end + close.length };
  }
  const dollars = /^\$(?![\s$])((?:\\.|[^$\\\n])*?[^\s\\$]|\S)\$(?!\d)/.exec(rest);
  return dollars ? { tex: dollars[1]!, display: false, length: dollars[0].length } : null;
}

/** Renders into `element`; TeX that KaTeX cannot read is shown as it is, in place. */
export function renderMath(tex: string, display: boolean, element: HTMLElement): void {
  render(tex, element, { displayMode: display, throwOnError: false, strict: 'ignore', trust: false });
}

function boxed(rest: string): MathPart | null {
  let depth = 0;
  for (let i = '\\boxed'.length; i < rest.length; i++) {
    if (rest[i] === '\\') i++;
    else if (rest[i] === '{') depth++;
    else if (rest[i] === '}' && --depth === 0)
      return { tex: rest.slice(0, i + 1), display: false, length: i + 1 };
  }
  return null;
}
