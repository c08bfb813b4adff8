// The page: header, question, trace with its side column, and the two panels that open over it.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { store } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';
import { endOf } from '../../trace/words.ts';
import '../ask/baton-ask.ts';
import '../history/baton-history.ts';
import '../settings/baton-settings.ts';
import '../trace/baton-figures.ts';
import '../trace/baton-inspector.ts';
import '../trace/baton-sent.ts';
import '../trace/baton-timeline.ts';
import '../trace/baton-trace.ts';
import '../trace/baton-trace-actions.ts';
import './baton-announcer.ts';
import './baton-header.ts';

interface Place {
  where: string;
  how: string;
  footer: string;
}

/** What the page says of the small model's place, and so of what leaves this machine. */
const PLACES: Readonly<Record<'page' | 'bridge' | 'server', Place>> = {
  page: {
    where: 'here',
    how: 'It runs on your own processor, in this page.',
    footer:
      'The small model runs on this machine. Only what is listed under “Sent to the large model” leaves it.',
  },
  bridge: {
    where: 'on this machine',
    how: 'It runs on the bridge, beside your browser.',
    footer:
      'The small model runs on this machine. Only what is listed under “Sent to the large model” leaves it.',
  },
  server: {
    where: 'on a server',
    how: 'It is the one that you named in Settings.',
    footer: 'The small model is on a server. Everything that leaves this page is listed under the trace.',
  },
};

export class BatonApp extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { run, alert, settings } = this.#store.value;
    const place =
      PLACES[
        settings.smallKind === 'bridge' || settings.smallKind === 'server' ? settings.smallKind : 'page'
      ];
    return html`
      <nav aria-label="Shortcuts">
        <button class="skip" @click=${this.#skip}>Skip to the trace</button>
      </nav>
      <baton-header @open-panel=${this.#open}></baton-header>
      <main>
        ${alert === null ? nothing : html`<p class="alert" role="alert">${alert}</p>`}
        <baton-ask @open-panel=${this.#open}></baton-ask>
        ${run === null ? this.#intro(place) : this.#result()}
      </main>
      <footer class="quiet">${place.footer}</footer>
      <baton-settings></baton-settings>
      <baton-history></baton-history>
      <baton-announcer></baton-announcer>
    `;
  }

  #intro(place: Place): TemplateResult {
    return html`
      <section class="intro" aria-label="How it works" id="trace" tabindex="-1">
        <ol>
          <li><strong>The small model reasons ${place.where}.</strong> ${place.how}</li>
          <li>
            <strong>It passes the baton.</strong> Where a step is too hard for it, it asks a large model to
            write.
          </li>
          <li><strong>It takes it back.</strong> You see who wrote every word, when, and what it cost.</li>
        </ol>
      </section>
    `;
  }

  #result(): TemplateResult {
    const run = this.#store.value.run!;
    const failed = run.error;
    const end = run.trace && run.trace.stopReason !== 'end' ? endOf(run.trace) : null;
    return html`
      <div class="result" id="trace" tabindex="-1">
        <div class="column">
          ${failed === null ? nothing : html`<p class="alert" role="alert">${failed}</p>`}
          <baton-trace></baton-trace>
          ${end === null ? nothing : html`<p class="quiet end">${end}.</p>`}
          <baton-timeline></baton-timeline>
          <baton-inspector></baton-inspector>
          <baton-sent></baton-sent>
        </div>
        <aside aria-label="Figures of this run">
          <baton-figures></baton-figures>
          <baton-trace-actions></baton-trace-actions>
        </aside>
      </div>
    `;
  }

  #open(event: CustomEvent<'settings' | 'history'>): void {
    this.#show(event.detail);
  }

  #show(name: 'settings' | 'history'): void {
    this.renderRoot.querySelector<HTMLElement & { open(): void }>(`baton-${name}`)?.open();
  }

  protected override updated(): void {
    const { openPanel } = this.#store.value;
    if (openPanel === null) return;
    store.patch({ openPanel: null });
    this.#show(openPanel);
  }

  #skip(): void {
    this.renderRoot.querySelector<HTMLElement>('#trace')?.focus();
  }

  static override readonly styles = [
    base,
    controls,
    css`
      :host {
        max-width: 68rem;
        margin: 0 auto;
        padding: 0 1.25rem 3rem;
      }
      .skip {
        position: absolute;
        left: -99rem;
      }
      .skip:focus {
        left: 1rem;
        top: 0.5rem;
        z-index: 2;
      }
      main {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 2rem;
      }
      .alert {
        padding: 0.75rem 1rem;
        border-radius: var(--radius);
        background: var(--bad-wash);
        color: var(--ink);
        border-left: 3px solid var(--bad);
      }
      .intro ol {
        list-style: none;
        display: grid;
        grid-template-columns: repeat(3, 1fr);
        gap: 2rem;
        color: var(--ink-2);
        padding: 0.5rem 0.25rem;
        counter-reset: step;
      }
      .intro li {
        border-top: 2px solid var(--line);
        padding-top: 0.9rem;
      }
      .intro li:nth-child(1) {
        border-color: var(--small);
      }
      .intro li:nth-child(2) {
        border-color: var(--large);
        border-top-style: double;
        border-top-width: 4px;
        padding-top: calc(0.9rem - 2px);
      }
      .intro li:nth-child(3) {
        border-color: var(--small);
      }
      .intro strong {
        display: block;
        color: var(--ink);
        font-weight: 600;
      }
      .result {
        display: grid;
        grid-template-columns: minmax(0, 1fr) 17rem;
        gap: 2.5rem;
        align-items: start;
      }
      .result:focus,
      .intro:focus {
        outline: none;
      }
      .column {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 1.5rem;
        min-width: 0;
      }
      .end {
        margin-top: -0.75rem;
      }
      aside {
        position: sticky;
        top: 1.25rem;
        display: grid;
        gap: 1.25rem;
      }
      footer {
        margin-top: 3.5rem;
        padding-top: 1rem;
        border-top: 1px solid var(--line);
      }
      @media (max-width: 54rem) {
        :host {
          padding: 0 1rem 2.5rem;
        }
        main {
          gap: 1.5rem;
        }
        .result {
          grid-template-columns: minmax(0, 1fr);
          gap: 1.5rem;
        }
        /* One column: the figures come right after the trace. */
        .column,
        aside {
          display: contents;
        }
        baton-figures {
          order: 1;
        }
        baton-timeline,
        baton-inspector {
          order: 2;
        }
        baton-sent,
        baton-trace-actions {
          order: 3;
        }
        .intro ol {
          grid-template-columns: 1fr;
          gap: 1rem;
        }
      }
    `,
  ];
}

customElements.define('baton-app', BatonApp);
