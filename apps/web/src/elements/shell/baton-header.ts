// The name, and the buttons that open history, settings and the other theme.

import { LitElement, css, html, type TemplateResult } from 'lit';
import { changeSettings } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';

const NEXT = { system: 'light', light: 'dark', dark: 'system' } as const;
const NAMES = { system: 'as the system', light: 'light', dark: 'dark' } as const;

export class BatonHeader extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { theme } = this.#store.value.settings;
    return html`
      <header>
        <h1>
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path class="small" d="M6 26 14 18" />
            <path class="large" d="M18 14 26 6" />
          </svg>
          Baton
        </h1>
        <p class="quiet">One question, two models, every author visible</p>
        <nav aria-label="Page">
          <button class="plain" @click=${() => this.#open('history')}>History</button>
          <button class="plain" @click=${() => this.#open('settings')}>Settings</button>
          <button
            class="plain theme"
            @click=${() => changeSettings({ theme: NEXT[this.#store.value.settings.theme] })}
            aria-label="Theme: ${NAMES[theme]}. Change to ${NAMES[NEXT[theme]]}"
            title="Theme: ${NAMES[theme]}"
          >
            <svg viewBox="0 0 20 20" aria-hidden="true">
              <circle cx="10" cy="10" r="6.5" />
              <path
                class="fill"
                d=${theme === 'dark' ? 'M10 3.5a6.5 6.5 0 0 1 0 13 6.5 6.5 0 0 1 0-13' : theme === 'light' ? '' : 'M10 3.5a6.5 6.5 0 0 1 0 13z'}
              />
            </svg>
          </button>
        </nav>
      </header>
    `;
  }

  protected override updated(): void {
    const { theme } = this.#store.value.settings;
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }

  #open(panel: 'settings' | 'history'): void {
    this.dispatchEvent(new CustomEvent('open-panel', { detail: panel }));
  }

  static override readonly styles = [
    base,
    controls,
    css`
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.9rem;
        padding: 1.4rem 0 1.6rem;
      }
      h1 {
        display: flex;
        align-items: center;
        gap: 0.45rem;
        margin: 0;
        font-size: var(--s2);
        font-weight: 680;
        letter-spacing: -0.02em;
      }
      h1 svg {
        width: 1.5rem;
        height: 1.5rem;
        fill: none;
        stroke-width: 5;
        stroke-linecap: round;
      }
      .small {
        stroke: var(--small);
      }
      .large {
        stroke: var(--large);
      }
      p {
        padding-top: 0.2rem;
      }
      nav {
        margin-left: auto;
        display: flex;
        flex-wrap: wrap;
        gap: 0.1rem;
        margin-right: -0.6rem;
      }
      nav button {
        padding: 0 0.6rem;
      }
      .theme svg {
        display: block;
        width: 1.15rem;
        height: 1.15rem;
        fill: none;
        stroke: currentColor;
        stroke-width: 1.6;
      }
      .fill {
        fill: currentColor;
        stroke: none;
      }
      @media (max-width: 54rem) {
        p {
          display: none;
        }
        header {
          padding: 1rem 0 1.1rem;
        }
      }
    `,
  ];
}

customElements.define('baton-header', BatonHeader);
