// A piece of the thought as markup: lines as they are, arithmetic set, mathematics rendered. Not Markdown: in a thought
// about 47*36*2 the asterisks mean something else.

import { html, type TemplateResult } from 'lit';
import { directive, Directive, type ElementPart, PartType, type PartInfo } from 'lit/directive.js';
import { noChange } from 'lit';
import { setArithmetic, splitArithmetic } from '../../text/arithmetic.ts';
import { mathAt, mathStart, renderMath, type MathPart } from '../../text/math.ts';

class MathDirective extends Directive {
  #shown = '';

  constructor(info: PartInfo) {
    super(info);
    if (info.type !== PartType.ELEMENT) throw new Error('math() belongs in an element tag');
  }

  render(_part: MathPart): typeof noChange {
    return noChange;
  }

  override update(element: ElementPart, [part]: [MathPart]): typeof noChange {
    if (this.#shown !== part.tex) {
      this.#shown = part.tex;
      renderMath(part.tex, part.display, element.element as HTMLElement);
    }
    return noChange;
  }
}

const math = directive(MathDirective);

/** `text` with its arithmetic and mathematics, for a container that keeps line breaks. */
export function proseOf(text: string): (TemplateResult | string)[] {
  const out: (TemplateResult | string)[] = [];
  let from = 0;
  for (let at = mathStart(text); at >= 0; at = mathStart(text, from)) {
    const part = mathAt(text, at);
    const next = at + (part?.length ?? 1);
    out.push(...plain(text.slice(from, part ? at : next)));
    if (part) out.push(html`<span class="math" ${math(part)}></span>`);
    from = next;
  }
  out.push(...plain(text.slice(from)));
  return out;
}

function plain(text: string): (TemplateResult | string)[] {
  return splitArithmetic(text).map(({ kind, text: part }) =>
    kind === 'text' ? part : html`<span class="arithmetic">${setArithmetic(part)}</span>`,
  );
}
