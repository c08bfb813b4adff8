// What the two models are, where they run, and whether they answer: one line each, with the way to change it.

import { LitElement, css, html, type TemplateResult } from 'lit';
import { ifDefined } from 'lit/directives/if-defined.js';
import type { LargeState, SmallState } from '../../state/app-state.ts';
import { cancelLargeHere } from '../../run/large-here.ts';
import { cancelSmallModel, smallModel } from '../../run/small-model.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';
import { sentence } from '../../trace/notes.ts';

interface Line {
  tone: 'good' | 'busy' | 'bad' | 'off';
  head: string;
  detail: string;
  fraction?: number | null;
  /** What can be done about it beside changing it. */
  action?: { label: string; name: string; run: () => void };
}

export class BatonModels extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { small, large, settings } = this.#store.value;
    return html`${this.#line('small', 'Small model', smallLine(small, settings.smallKind === 'server'))}${this.#line('large', 'Large model', largeLine(large))}`;
  }

  #line(
    author: 'small' | 'large',
    name: string,
    { tone, head, detail, fraction, action }: Line,
  ): TemplateResult {
    const open = (): void => {
      this.dispatchEvent(
        new CustomEvent('open-panel', { detail: 'settings', bubbles: true, composed: true }),
      );
    };
    return html`
      <div class="line ${author}" data-model=${author} data-tone=${tone}>
        <span class="mark" aria-hidden="true">${author === 'small' ? 'S' : 'L'}</span>
        <p>
          <span class="name">${name}</span>
          <span class="head ${tone}">${head}</span>
          <span class="detail">${detail}</span>
          ${
            fraction === undefined
              ? ''
              : html`<progress
                  aria-label="Opening the ${author} model"
                  value=${ifDefined(fraction ?? undefined)}
                  max="1"
                ></progress>`
          }
        </p>
        ${
          action
            ? html`<button type="button" class="link" @click=${action.run} aria-label=${action.name}>
                ${action.label}
              </button>`
            : ''
        }
        <button type="button" class="link" @click=${open} aria-label="Change the ${author} model">
          Change
        </button>
      </div>
    `;
  }

  static override readonly styles = [
    base,
    controls,
    css`
      :host {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.5rem 2.5rem;
        margin-top: 0.9rem;
        padding: 0 0.25rem;
        font-size: var(--s-1);
      }
      .line {
        display: flex;
        gap: 0.6rem;
        align-items: baseline;
        min-width: 0;
      }
      .mark {
        flex: none;
        width: 1.25rem;
        line-height: 1.2rem;
        text-align: center;
        font-size: 0.6875rem;
        font-weight: 700;
        border-radius: 5px;
        border: 1.5px solid var(--small);
        color: var(--small);
      }
      .large .mark {
        border-color: var(--large);
        background: var(--large);
        color: var(--paper);
      }
      p {
        flex: 1;
        color: var(--ink-3);
        overflow-wrap: anywhere;
      }
      .name {
        font-weight: 560;
        color: var(--ink);
      }
      .head.good {
        color: var(--ink-2);
      }
      .head.bad {
        color: var(--bad);
        font-weight: 560;
      }
      button {
        color: var(--ink-2);
        font-size: inherit;
      }
      progress {
        display: block;
        width: 100%;
        height: 3px;
        margin-top: 0.35rem;
        accent-color: var(--small);
      }
      @media (max-width: 54rem) {
        :host {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];
}

const OPEN = {
  label: 'Open',
  name: 'Open the small model',
  // Its failure is shown from the store.
  run: () => void smallModel().catch(() => undefined),
};
const CANCEL_SMALL = { label: 'Cancel', name: 'Cancel opening the small model', run: cancelSmallModel };
const CANCEL_LARGE = { label: 'Cancel', name: 'Cancel opening the large model', run: cancelLargeHere };

function smallLine(small: SmallState, onServer: boolean): Line {
  switch (small.status) {
    case 'closed':
      return { tone: 'off', head: 'not open yet', detail: '', action: OPEN };
    case 'opening':
      return {
        tone: 'busy',
        head: 'opening',
        detail: small.stage,
        fraction: small.fraction,
        ...(small.here ? { action: CANCEL_SMALL } : {}),
      };
    case 'failed':
      return { tone: 'bad', head: onServer ? 'cannot be used' : 'cannot run here', detail: small.message };
    case 'ready':
      return { tone: 'good', head: `${small.id} on ${small.target}`, detail: '' };
  }
}

function largeLine(large: LargeState): Line {
  switch (large.status) {
    case 'none':
      return {
        tone: 'off',
        head: 'none configured',
        detail: 'The small model works alone until you name an endpoint.',
      };
    case 'unchecked':
      return { tone: 'off', head: 'not tested yet', detail: '' };
    case 'checking':
      return { tone: 'busy', head: 'asking the endpoint', detail: '' };
    case 'opening':
      return {
        tone: 'busy',
        head: 'opening',
        detail: large.stage,
        fraction: large.fraction,
        action: CANCEL_LARGE,
      };
    case 'ready':
      return { tone: 'good', head: large.id, detail: large.detail };
    case 'down':
      return {
        tone: 'bad',
        head: 'cannot be asked',
        detail: `${sentence(large.message)} The small model works alone meanwhile.`,
      };
  }
}

customElements.define('baton-models', BatonModels);
