// Where a problem is typed or picked and the run is started and stopped, with what both models are doing in one line each.

import { LitElement, css, html, type TemplateResult } from 'lit';
import { solveQuestion, stop } from '../../run/solve-question.ts';
import { goesOn, store } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';
import './baton-policy.ts';
import './baton-problems.ts';
import './baton-models.ts';

export class BatonAsk extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { question, run, small } = this.#store.value;
    const running = goesOn(run);
    return html`
      <form class="card" @submit=${this.#submit}>
        <label for="question" class="visually-hidden">Problem</label>
        <textarea
          id="question"
          rows="3"
          placeholder="Type a problem, or pick one below"
          spellcheck="false"
          .value=${question}
          @input=${(e: InputEvent) => store.patch({ question: (e.target as HTMLTextAreaElement).value })}
          @keydown=${this.#key}
        ></textarea>
        <div class="row">
          <baton-problems></baton-problems>
          <baton-policy></baton-policy>
          ${
            running
              ? html`<button
                  type="button"
                  class="main stop"
                  @click=${(event: MouseEvent) => isSecond(event) || stop()}
                  ?disabled=${run.status === 'stopping'}
                >
                  ${run.status === 'stopping' ? 'Stopping' : 'Stop'}
                </button>`
              : html`<button
                  class="main solve"
                  @click=${(event: MouseEvent) => isSecond(event) && event.preventDefault()}
                  ?disabled=${question.trim() === '' || small.status === 'failed'}
                >
                  Solve
                </button>`
          }
        </div>
      </form>
      <baton-models></baton-models>
    `;
  }

  #submit(event: Event): void {
    event.preventDefault();
    void solveQuestion();
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void solveQuestion();
  }

  static override readonly styles = [
    base,
    controls,
    css`
      form:focus-within {
        border-color: var(--line-strong);
      }
      textarea {
        display: block;
        border: 0;
        background: none;
        resize: none;
        padding: 1.15rem 1.3rem 0.4rem;
        font: 400 var(--s2) / 1.45 var(--book);
        letter-spacing: -0.005em;
        min-height: 6.2rem;
        field-sizing: content;
        max-height: 40vh;
      }
      textarea:focus-visible {
        outline: none;
      }
      .row {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.75rem;
        padding: 0.7rem 0.8rem 0.8rem 1.3rem;
      }
      baton-policy {
        margin-left: auto;
      }
      .main {
        min-width: 6.25rem;
        min-height: 2.5rem;
      }
      @media (max-width: 54rem) {
        textarea {
          padding: 1rem 1rem 0.3rem;
          font-size: var(--s1);
        }
        .row {
          padding: 0.6rem 1rem 1rem;
        }
        baton-policy,
        baton-problems {
          width: 100%;
          margin: 0;
        }
        .main {
          width: 100%;
        }
      }
    `,
  ];
}

/** Of a double click: each of the two buttons takes the other's place, and would undo what the first click began. */
function isSecond({ detail }: MouseEvent): boolean {
  return detail === 2;
}

customElements.define('baton-ask', BatonAsk);
