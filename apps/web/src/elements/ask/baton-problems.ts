// Held-out problems to pick from, most of which need a hand-off.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { store } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';

export class BatonProblems extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult | typeof nothing {
    const { problems } = this.#store.value;
    if (problems.length === 0) return nothing;
    const chosen = this.#chosen();
    return html`
      <select aria-label="Pick a problem" @change=${this.#pick}>
        <option value="" .selected=${chosen < 0} disabled>Pick a problem</option>
        ${problems.map((p, i) => html`<option value=${i} .selected=${i === chosen}>${shorten(p.question)}</option>`)}
      </select>
      <button type="button" class="plain" @click=${this.#next}>Another</button>
    `;
  }

  #pick(event: Event): void {
    this.#take(Number((event.target as HTMLSelectElement).value));
  }

  #next(): void {
    this.#take((this.#chosen() + 1) % this.#store.value.problems.length);
  }

  #chosen(): number {
    const { problems, question } = this.#store.value;
    return problems.findIndex((p) => p.question === question);
  }

  #take(index: number): void {
    const problem = this.#store.value.problems[index];
    if (problem) store.patch({ question: problem.question });
  }

  static override readonly styles = [
    base,
    controls,
    css`
      :host {
        display: flex;
        gap: 0.25rem;
        min-width: 0;
      }
      select {
        width: 15rem;
        border-color: var(--line);
        color: var(--ink-2);
        text-overflow: ellipsis;
      }
      @media (max-width: 54rem) {
        :host {
          flex-wrap: wrap;
        }
        select {
          width: auto;
          flex: 1 1 8rem;
          min-width: 0;
        }
      }
    `,
  ];
}

function shorten(question: string): string {
  return question.length <= 64 ? question : `${question.slice(0, 63).trimEnd()}…`;
}

customElements.define('baton-problems', BatonProblems);
