// Takes the finished trace out of the page: as a file, or on the clipboard.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';

export class BatonTraceActions extends LitElement {
  static override readonly properties = { said: { state: true } };
  declare said: string;
  readonly #store = new StoreController(this);

  constructor() {
    super();
    this.said = '';
  }

  protected override render(): TemplateResult | typeof nothing {
    const trace = this.#store.value.run?.trace;
    if (!trace) return nothing;
    const json = (): string => `${JSON.stringify(trace, null, 2)}\n`;
    return html`
      <div>
        <button @click=${() => download(json(), trace.startedAt)}>Download trace</button>
        <button @click=${() => void this.#copy(json())}>Copy</button>
        <span class="quiet" role="status">${this.said}</span>
      </div>
    `;
  }

  async #copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.said = 'Copied';
    } catch {
      this.said = 'The browser refused; download it instead';
    }
    setTimeout(() => (this.said = ''), 3000);
  }

  static override readonly styles = [
    base,
    controls,
    css`
      div {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.5rem;
      }
    `,
  ];
}

function download(text: string, startedAt: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `baton-trace-${startedAt.replace(/[:.]/g, '-')}.json`;
  link.click();
  // The click only queues the download; revoking at once would cancel it.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

customElements.define('baton-trace-actions', BatonTraceActions);
