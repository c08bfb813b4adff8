// Earlier runs, kept in this browser only. Picking one shows it as if it had just been written.

import { LitElement, css, html, type TemplateResult } from 'lit';
import { forgetAll, loadHistory, show } from '../../run/history.ts';
import { goesOn, type HistoryEntry } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';
import { percent, seconds } from '../../trace/figures.ts';
import { UNFINISHED } from '../../trace/notes.ts';
import { panel } from '../settings/baton-settings.ts';

export class BatonHistory extends LitElement {
  static override readonly properties = { sure: { state: true } };
  /** The next press forgets everything. */
  declare sure: boolean;
  readonly #store = new StoreController(this);

  constructor() {
    super();
    this.sure = false;
  }

  protected override render(): TemplateResult {
    const { history, run } = this.#store.value;
    const busy = goesOn(run);
    return html`
      <dialog aria-labelledby="title">
        <div class="inner">
          <div class="head">
            <h2 id="title">History</h2>
            <button
              class="plain"
              ?disabled=${history.length === 0}
              @click=${this.#forget}
              @blur=${() => (this.sure = false)}
            >
              ${this.sure ? 'Really forget all?' : 'Forget all'}
            </button>
            <button class="plain close" autofocus @click=${() => this.#dialog().close()}>Close</button>
          </div>
          <p class="quiet">Kept in this browser only.</p>
          ${
            history.length === 0
              ? html`<p class="empty">No runs yet. Solve a problem, and it appears here.</p>`
              : html`<ul>
                  ${history.map((entry) => this.#entry(entry, busy))}
                </ul>`
          }
        </div>
      </dialog>
    `;
  }

  #entry(entry: HistoryEntry, busy: boolean): TemplateResult {
    const { question, answer, totals, startedAt, policy, notes } = entry.trace;
    const when = new Date(startedAt).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
    const result = entry.goesOn
      ? 'still going on'
      : notes.includes(UNFINISHED)
        ? 'unfinished'
        : answer === null
          ? 'no answer'
          : `answer ${answer}`;
    const choose = (): void => {
      show(entry);
      this.#dialog().close();
    };
    return html`
      <li>
        <button ?disabled=${busy || entry.goesOn} @click=${choose}>
          <span class="question">${question}</span>
          <span class="quiet">
            ${result} · ${policy} · ${percent(totals.offloadRatio)} large · ${seconds(totals.elapsedMs)} ·
            ${when}
          </span>
        </button>
      </li>
    `;
  }

  #forget(): void {
    if (!this.sure) {
      this.sure = true;
      return;
    }
    this.renderRoot.querySelector<HTMLElement>('.close')!.focus();
    void forgetAll();
  }

  open(): void {
    this.sure = false;
    this.#dialog().showModal();
    // Another tab may have solved something meanwhile.
    void loadHistory();
  }

  #dialog(): HTMLDialogElement {
    return this.renderRoot.querySelector('dialog')!;
  }

  static override readonly styles = [
    base,
    controls,
    panel(),
    css`
      ul {
        list-style: none;
        display: grid;
        margin-top: 1rem;
      }
      li button {
        display: grid;
        gap: 0.2rem;
        width: 100%;
        padding: 0.8rem 0;
        text-align: left;
        border: 0;
        border-top: 1px solid var(--line);
        border-radius: 0;
        background: none;
        font-weight: 400;
      }
      li button:hover .question {
        text-decoration: underline;
        text-underline-offset: 3px;
      }
      .question {
        display: -webkit-box;
        -webkit-line-clamp: 2;
        -webkit-box-orient: vertical;
        overflow: hidden;
        overflow-wrap: anywhere;
      }
      .empty {
        margin-top: 1.5rem;
        color: var(--ink-2);
      }
    `,
  ];
}

customElements.define('baton-history', BatonHistory);
