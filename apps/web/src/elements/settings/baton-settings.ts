// The settings panel: what the small model is and where it runs, which large model it may ask, and the limits of a run.

import { LitElement, css, html, type TemplateResult } from 'lit';
import { readStored } from '../../run/stored-models.ts';
import { base, controls } from '../../styles/shared.ts';
import './baton-bridge.ts';
import './baton-endpoint.ts';
import './baton-limits.ts';
import './baton-small.ts';
import './baton-stored.ts';
import './baton-targets.ts';

export class BatonSettings extends LitElement {
  protected override render(): TemplateResult {
    return html`
      <dialog aria-labelledby="title" @click=${this.#outside}>
        <div class="inner">
          <div class="head">
            <h2 id="title">Settings</h2>
            <button class="plain" @click=${() => this.#dialog().close()}>Close</button>
          </div>
          <section>
            <h3>The small model</h3>
            <baton-small></baton-small>
          </section>
          <section>
            <h3>Where the small model runs</h3>
            <baton-targets></baton-targets>
          </section>
          <section>
            <h3>The large model</h3>
            <baton-endpoint></baton-endpoint>
          </section>
          <section>
            <h3>The bridge on this machine</h3>
            <baton-bridge></baton-bridge>
          </section>
          <section>
            <h3>Models kept in this browser</h3>
            <baton-stored></baton-stored>
          </section>
          <section>
            <h3>Limits of a run</h3>
            <baton-limits></baton-limits>
          </section>
        </div>
      </dialog>
    `;
  }

  open(): void {
    this.#dialog().showModal();
    void readStored();
  }

  #dialog(): HTMLDialogElement {
    return this.renderRoot.querySelector('dialog')!;
  }

  #outside(event: Event): void {
    if (event.target === this.#dialog()) this.#dialog().close();
  }

  static override readonly styles = [base, controls, panel()];
}

/** A panel at the right edge, the whole screen on a phone. */
export function panel(): ReturnType<typeof css> {
  return css`
    dialog {
      position: fixed;
      inset: 0 0 0 auto;
      margin: 0;
      padding: 0;
      border: 0;
      width: min(30rem, 100%);
      height: 100dvh;
      max-height: none;
      max-width: none;
      overflow-y: auto;
      overscroll-behavior: contain;
      background: var(--paper);
      color: var(--ink);
      border-left: 1px solid var(--line);
    }
    dialog::backdrop {
      background: rgb(10 12 16 / 35%);
    }
    .inner {
      padding: 1.1rem 1.5rem 2rem;
    }
    .head {
      display: flex;
      align-items: center;
      gap: 0.5rem;
    }
    .head h2 {
      font-size: var(--s2);
      margin-right: auto;
    }
    section {
      padding: 1.3rem 0 0.4rem;
    }
    h3 {
      font-size: var(--s0);
      font-weight: 620;
      margin-bottom: 0.7rem;
    }
  `;
}

customElements.define('baton-settings', BatonSettings);
