// Everything that the trace knows of one segment: counts, times, why it ended, what was thrown away. It takes the focus when
// it opens, for on a phone it lies far below what was pressed, and gives it back.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import type { LiveSegment } from '../../run/live-trace.ts';
import { store } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';
import { percent, seconds } from '../../trace/figures.ts';
import { inWords } from '../../trace/notes.ts';
import { AUTHORS, REASONS } from '../../trace/words.ts';

export class BatonInspector extends LitElement {
  readonly #store = new StoreController(this);
  #shown: number | null = null;
  /** Had the focus before. */
  #opener: Element | null = null;

  protected override render(): TemplateResult | typeof nothing {
    const { run, selected } = this.#store.value;
    const segments = run?.live.segments ?? [];
    const segment = selected === null ? undefined : segments[selected];
    if (selected === null || segment === undefined) return nothing;
    const go = (by: number) => (): void => {
      const to = (store.value.selected ?? selected) + by;
      if (to >= 0 && to < segments.length) store.patch({ selected: to });
    };
    const close = (): void => store.patch({ selected: null });
    return html`
      <section
        class="card ${segment.origin}"
        aria-label="Segment ${selected + 1}"
        tabindex="-1"
        @keydown=${(event: KeyboardEvent) => event.key === 'Escape' && close()}
      >
        <div class="head">
          <h2>Segment ${selected + 1} of ${segments.length} · ${AUTHORS[segment.origin]}</h2>
          <button class="plain" ?disabled=${selected === 0} @click=${go(-1)} aria-label="Previous segment">
            ←
          </button>
          <button
            class="plain"
            ?disabled=${selected === segments.length - 1}
            @click=${go(1)}
            aria-label="Next segment"
          >
            →
          </button>
          <button class="plain" @click=${close}>Close</button>
        </div>
        <dl>
          ${rowsOf(segment).map(
            ([name, value]) =>
              html`<dt>${name}</dt>
                <dd>${value}</dd>`,
          )}
        </dl>
        <h3>Text</h3>
        <pre tabindex="0">${segment.text}</pre>
        ${
          segment.discardedText
            ? html`<h3>Thrown away after the hand-back</h3>
                <pre tabindex="0" class="discarded">${segment.discardedText}</pre>`
            : nothing
        }
      </section>
    `;
  }

  protected override willUpdate(): void {
    const { selected } = this.#store.value;
    if (selected === this.#shown || selected !== null) return;
    // It goes from the page with the focus in it.
    if (this.renderRoot.querySelector(':focus') && this.#opener instanceof HTMLElement) this.#opener.focus();
    this.#opener = null;
  }

  protected override updated(): void {
    const { selected } = this.#store.value;
    if (selected === this.#shown) return;
    this.#shown = selected;
    // Its own arrows keep the focus, unless the last segment has just disabled one.
    if (selected === null || this.renderRoot.querySelector(':focus:not(:disabled)')) return;
    const opener = focused();
    if (!this.renderRoot.contains(opener)) this.#opener = opener;
    this.renderRoot.querySelector<HTMLElement>('section')?.focus();
  }

  static override readonly styles = [
    base,
    controls,
    css`
      section {
        padding: 0.9rem 1.1rem 1.1rem;
      }
      section.small {
        border-top: 3px solid var(--small);
      }
      section.large {
        border-top: 4px double var(--large);
      }
      .head {
        display: flex;
        align-items: center;
        gap: 0.15rem;
      }
      .head h2 {
        margin-right: auto;
      }
      dl {
        display: grid;
        grid-template-columns: minmax(9rem, auto) 1fr;
        gap: 0.3rem 1.2rem;
        margin-top: 0.5rem;
        font-size: var(--s-1);
      }
      dt {
        color: var(--ink-3);
      }
      dd {
        font-variant-numeric: tabular-nums;
        overflow-wrap: anywhere;
      }
      h3 {
        margin: 0.9rem 0 0.3rem;
        font-size: var(--s-1);
        font-weight: 560;
      }
      pre {
        margin: 0;
        padding: 0.6rem 0.8rem;
        max-height: 14rem;
        overflow: auto;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
        border-radius: 8px;
        background: var(--sunken);
        font: 400 0.8125rem / 1.55 var(--mono);
      }
      .discarded {
        text-decoration: line-through;
        color: var(--ink-3);
      }
    `,
  ];
}

/** The element that has the focus, however deep in others. */
function focused(): Element | null {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element;
}

function rowsOf(segment: LiveSegment): [string, string][] {
  const rows: [string, string][] = [
    ['Tokens kept', String(segment.tokens)],
    ['Started', seconds(segment.startMs)],
    [
      'First token',
      segment.firstTokenMs === null ? 'none' : `${seconds(segment.firstTokenMs - segment.startMs)} later`,
    ],
    [
      'Ended',
      segment.endMs === null
        ? 'still writing'
        : `${seconds(segment.endMs)} (${seconds(segment.endMs - segment.startMs)} in all)`,
    ],
    ['Ended because', segment.reason === null ? 'still writing' : REASONS[segment.reason]],
  ];
  if (segment.origin === 'large') rows.splice(1, 0, ['Tokens thrown away', String(segment.discardedTokens)]);
  if (segment.detail) rows.push(['Detail', inWords(segment.detail)]);
  if (segment.decisionLogprob !== undefined)
    rows.push(['Probability of that decision', percent(Math.exp(segment.decisionLogprob))]);
  if (segment.promptTokens !== undefined) {
    const cached = segment.cachedTokens === undefined ? '' : `, ${segment.cachedTokens} of them cached`;
    rows.push(['Prompt tokens sent', `${segment.promptTokens}${cached}`]);
  }
  if (segment.cost !== undefined) rows.push(['Cost', String(segment.cost)]);
  if (segment.model) rows.push(['Written by', segment.model]);
  return rows;
}

customElements.define('baton-inspector', BatonInspector);
