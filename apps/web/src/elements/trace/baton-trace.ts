// The trace as it is written: the thought with every span's author marked by a letter, a tint and an underline (never by
// colour alone), then the answer as Markdown.

import katexStyles from 'katex/dist/katex.min.css?inline';
import { LitElement, css, html, nothing, unsafeCSS, type TemplateResult } from 'lit';
import { store, type Run } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';
import { sectionsOf, type Piece } from '../../text/sections.ts';
import { notesInWords } from '../../trace/notes.ts';
import { AUTHORS } from '../../trace/words.ts';
import { proseOf } from './prose.ts';
import './baton-answer.ts';

export class BatonTrace extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult | typeof nothing {
    const { run, selected } = this.#store.value;
    if (run === null) return nothing;
    const { thought, answer } = sectionsOf(run.live.segments);
    const writing = run.status === 'running' ? run.live.segments.at(-1)?.origin : undefined;
    return html`
      <section aria-labelledby="trace-title">
        <div class="head">
          <h2 id="trace-title">Reasoning</h2>
          <p class="quiet legend">
            <span class="chip small" aria-hidden="true">S</span> written here
            <span class="chip large" aria-hidden="true">L</span>
            <span class="sample">written by the large model</span>
          </p>
        </div>
        ${notesOf(run)}
        <div class="thought" data-role="thought" aria-busy=${run.status === 'running'}>
          ${waiting(run)}${thought.map((piece) => this.#piece(piece, selected))}${
            writing === undefined || answer.length > 0
              ? nothing
              : html`<span class="caret ${writing}"></span>`
          }
        </div>
        ${
          answer.length === 0
            ? nothing
            : html`<baton-answer
                .pieces=${answer}
                .expected=${run.expected}
                .answer=${run.trace?.answer ?? null}
                .done=${run.trace !== null}
              ></baton-answer>`
        }
      </section>
    `;
  }

  /** One line of markup: every blank in it would show. */
  #piece({ origin, segment, text }: Piece, selected: number | null): TemplateResult {
    const choose = (): void => store.patch({ selected: selected === segment ? null : segment });
    const name = `${AUTHORS[origin]}, segment ${segment + 1}`;
    // prettier-ignore
    return html`<span class="piece ${origin} ${selected === segment ? 'selected' : ''}" data-origin=${origin} data-segment=${segment}><button class="chip ${origin}" @click=${choose} aria-label="${name}: inspect" aria-pressed=${selected === segment} title="${name}">${origin === 'small' ? 'S' : 'L'}</button>${proseOf(text)}</span>`;
  }

  static override readonly styles = [
    unsafeCSS(katexStyles),
    base,
    controls,
    css`
      .head {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        align-items: baseline;
        gap: 0.25rem 1.5rem;
        margin-bottom: 0.9rem;
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        gap: 0.35rem;
      }
      .legend .large {
        margin-left: 0.7rem;
      }
      .sample,
      .piece.large {
        background: var(--large-wash);
        text-decoration: underline 1.5px var(--large);
        text-underline-offset: 0.22em;
        text-decoration-skip-ink: none;
        box-decoration-break: clone;
        -webkit-box-decoration-break: clone;
        border-radius: 3px;
        padding: 0.08em 0.18em;
      }
      .thought {
        font: 400 1.125rem / 1.78 var(--book);
        font-variant-numeric: lining-nums tabular-nums;
        overflow-wrap: anywhere;
        min-height: 3.5rem;
        max-width: 44rem;
      }
      .piece {
        white-space: pre-wrap;
      }
      .piece.selected {
        background: var(--small-wash);
        border-radius: 3px;
      }
      .piece.large.selected {
        background: var(--large-wash);
        text-decoration-thickness: 3px;
      }
      .chip {
        display: inline-block;
        min-height: 0;
        width: 1.2rem;
        padding: 0;
        margin: 0 0.4em 0 0;
        vertical-align: 0.1em;
        font: 700 0.6875rem / 1.08rem var(--ui);
        text-align: center;
        text-decoration: none;
        border-radius: 5px;
        border: 1.5px solid var(--small);
        color: var(--small);
        background: none;
      }
      .chip.large {
        border-color: var(--large);
        background: var(--large);
        color: var(--paper);
      }
      .piece .chip.small {
        opacity: 0.85;
      }
      .piece + .piece .chip {
        margin-left: 0.15em;
      }
      .unbroken {
        white-space: nowrap;
      }
      .caret {
        display: inline-block;
        width: 0.55ch;
        height: 1.05em;
        vertical-align: -0.15em;
        margin-left: 2px;
        background: var(--small);
        animation: blink 1s steps(2) infinite;
      }
      .caret.large {
        background: var(--large);
      }
      @keyframes blink {
        50% {
          opacity: 0.15;
        }
      }
      .waiting {
        color: var(--ink-3);
        font-style: italic;
      }
      .notes {
        list-style: none;
        display: grid;
        gap: 0.35rem;
        margin-bottom: 0.9rem;
        font-size: var(--s-1);
      }
      .notes li {
        padding: 0.5rem 0.8rem;
        border-left: 3px solid var(--bad);
        border-radius: 4px;
        background: var(--bad-wash);
        overflow-wrap: anywhere;
      }
      @media (max-width: 54rem) {
        .thought {
          font-size: 1.0625rem;
          line-height: 1.72;
        }
      }
    `,
  ];
}

function waiting(run: Run): TemplateResult | typeof nothing {
  if (run.live.segments.length > 0 || run.status !== 'running') return nothing;
  const { small } = store.value;
  const what =
    small.status === 'opening' ? `Opening the small model: ${small.stage}` : 'Reading the question';
  return html`<span class="waiting">${what} …</span>`;
}

function notesOf(run: Run): TemplateResult | typeof nothing {
  if (run.live.notes.length === 0) return nothing;
  return html`<ul class="notes" role="status">
    ${notesInWords(run.live.notes).map((note) => html`<li>${note}</li>`)}
  </ul>`;
}

customElements.define('baton-trace', BatonTrace);
