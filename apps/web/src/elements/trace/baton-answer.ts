// The answer after the thought: Markdown with mathematics, each author's part marked, and whether it is the right one
// where the right one is known.

import katexStyles from 'katex/dist/katex.min.css?inline';
import { LitElement, css, html, nothing, unsafeCSS, type TemplateResult } from 'lit';
import { base } from '../../styles/shared.ts';
import { renderMarkdown } from '../../text/markdown.ts';
import type { Piece } from '../../text/sections.ts';
import { AUTHORS } from '../../trace/words.ts';

export class BatonAnswer extends LitElement {
  static override readonly properties = {
    pieces: { attribute: false },
    expected: { attribute: false },
    answer: { attribute: false },
    done: { type: Boolean },
  };
  declare pieces: readonly Piece[];
  declare expected: string | null;
  declare answer: string | null;
  declare done: boolean;
  /** By segment: the text that was parsed last, and what came of it. */
  readonly #rendered = new Map<number, { text: string; fragment: DocumentFragment }>();

  constructor() {
    super();
    this.pieces = [];
    this.expected = null;
    this.answer = null;
    this.done = false;
  }

  protected override render(): TemplateResult {
    return html`
      <div class="answer">
        <h2>Answer</h2>
        ${this.pieces.map(
          ({ origin, segment, text }) => html`
            <div class="part ${origin}" data-origin=${origin} data-segment=${segment}>
              <span class="chip" role="img" aria-label=${AUTHORS[origin]}
                >${origin === 'small' ? 'S' : 'L'}</span
              >
              <div class="prose">${this.#markdown(segment, text)}</div>
            </div>
          `,
        )}
        ${this.done ? this.#verdict() : nothing}
      </div>
    `;
  }

  #verdict(): TemplateResult | typeof nothing {
    if (this.expected === null) return nothing;
    const right = this.answer !== null && normal(this.answer) === normal(this.expected);
    return html`<p class="verdict ${right ? 'right' : 'wrong'}" data-right=${right}>
      ${right ? '✓ The known answer' : `✗ The known answer is ${this.expected}`}
    </p>`;
  }

  /** Parsed again only when the text has grown. */
  #markdown(segment: number, text: string): Node {
    let rendered = this.#rendered.get(segment);
    if (rendered?.text !== text) {
      rendered = { text, fragment: renderMarkdown(text) };
      this.#rendered.set(segment, rendered);
    }
    return rendered.fragment.cloneNode(true);
  }

  static override readonly styles = [
    unsafeCSS(katexStyles),
    base,
    css`
      .answer {
        margin-top: 1.4rem;
        padding: 1rem 0 0;
        border-top: 1px solid var(--line);
      }
      h2 {
        margin-bottom: 0.4rem;
      }
      .part {
        display: flex;
        gap: 0.55rem;
        align-items: baseline;
      }
      .chip {
        flex: none;
        width: 1.2rem;
        font: 700 0.6875rem / 1.08rem var(--ui);
        text-align: center;
        border-radius: 5px;
        border: 1.5px solid var(--small);
        color: var(--small);
      }
      .large .chip {
        border-color: var(--large);
        background: var(--large);
        color: var(--paper);
      }
      .large .prose {
        background: var(--large-wash);
        border-bottom: 1.5px solid var(--large);
        border-radius: 3px;
        padding: 0 0.3em;
      }
      .prose {
        font: 400 1.3125rem / 1.6 var(--book);
        font-variant-numeric: lining-nums;
        min-width: 0;
        overflow-x: auto;
        overflow-y: hidden;
      }
      .prose p {
        margin: 0 0 0.5em;
      }
      .prose :is(ul, ol) {
        margin: 0 0 0.5em;
        padding-left: 1.3em;
      }
      .prose pre {
        font: 400 0.875rem / 1.5 var(--mono);
        overflow-x: auto;
      }
      .prose a {
        color: inherit;
      }
      .katex {
        font-size: 1.08em;
      }
      .verdict {
        font-size: var(--s-1);
        font-weight: 560;
        padding-left: 1.8rem;
      }
      .right {
        color: var(--good);
      }
      .wrong {
        color: var(--bad);
      }
    `,
  ];
}

/** Enough for the listed problems, whose answers are whole numbers. */
function normal(answer: string): string {
  return answer.replace(/[\s,$]/g, '').replace(/\.0*$/, '');
}

customElements.define('baton-answer', BatonAnswer);
