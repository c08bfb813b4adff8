// Tells a screen reader what changes on the page while a run goes on: hand-offs, the end, the answer. The streaming text
// itself is not a live region, because hearing every token would drown everything else.

import { LitElement, html, type TemplateResult } from 'lit';
import { StoreController } from '../../state/store-controller.ts';
import { base } from '../../styles/shared.ts';
import { percent } from '../../trace/figures.ts';
import { endOf } from '../../trace/words.ts';

export class BatonAnnouncer extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    return html`<p class="visually-hidden" role="status">${this.#line()}</p>`;
  }

  #line(): string {
    const { run, small } = this.#store.value;
    if (run === null) return small.status === 'ready' ? `The small model is ready on ${small.target}.` : '';
    if (run.trace) {
      const { answer, totals } = run.trace;
      const said = answer === null ? 'There is no boxed answer' : `The answer is ${answer}`;
      return `${endOf(run.trace)}. ${said}. ${percent(totals.offloadRatio)} written by the large model.`;
    }
    if (run.error !== null) return '';
    const writing = run.live.segments.at(-1)?.origin;
    return writing === undefined ? 'Starting.' : `The ${writing} model is writing.`;
  }

  static override readonly styles = base;
}

customElements.define('baton-announcer', BatonAnnouncer);
