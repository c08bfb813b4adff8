// Who may write: the small model alone, the large one alone, or both, handing over as learned or at a threshold that the
// person turns.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { changeSettings } from '../../state/app-state.ts';
import type { PolicyName } from '../../state/settings.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';

const POLICIES: readonly [PolicyName, string, string][] = [
  ['small', 'Small', 'The small model alone'],
  ['learned', 'Relay', 'The small model hands off where it has learned to'],
  ['threshold', 'Dial', 'As the relay, but you choose how readily it hands off'],
  ['large', 'Large', 'The large model alone'],
];

export class BatonPolicy extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { policy, threshold } = this.#store.value.settings;
    return html`
      <fieldset>
        <legend class="visually-hidden">Who writes</legend>
        ${POLICIES.map(
          ([name, label, help]) => html`
            <label title=${help}>
              <input
                type="radio"
                name="policy"
                value=${name}
                aria-label="${label}: ${help}"
                .checked=${policy === name}
                @change=${() => changeSettings({ policy: name })}
              /><span>${label}</span>
            </label>
          `,
        )}
      </fieldset>
      ${
        policy === 'threshold'
          ? html`
              <label
                class="dial"
                title="Hands off wherever the tag is at least this probable: lower hands off more"
              >
                <span>Hand off from</span>
                <input
                  type="range"
                  min="0.01"
                  max="0.99"
                  step="0.01"
                  aria-label="Probability from which the small model hands off"
                  .value=${String(threshold)}
                  @input=${(e: Event) => changeSettings({ threshold: Number((e.target as HTMLInputElement).value) })}
                />
                <output>${threshold.toFixed(2)}</output>
              </label>
            `
          : nothing
      }
    `;
  }

  static override readonly styles = [
    base,
    controls,
    css`
      :host {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem 1rem;
        align-items: center;
        justify-content: flex-end;
      }
      fieldset {
        display: flex;
        background: var(--sunken);
        border-radius: 9px;
        padding: 3px;
      }
      fieldset label {
        position: relative;
        cursor: pointer;
      }
      fieldset input {
        position: absolute;
        inset: 0;
        opacity: 0;
        margin: 0;
      }
      fieldset span {
        display: block;
        padding: 0.28rem 0.8rem;
        border-radius: 7px;
        border: 1px solid transparent;
        color: var(--ink-2);
        font-weight: 520;
        text-align: center;
      }
      fieldset input:checked + span {
        background: var(--card);
        border-color: var(--line);
        color: var(--ink);
        box-shadow: var(--shadow);
      }
      @media (forced-colors: active) {
        fieldset input:checked + span {
          forced-color-adjust: none;
          background: Highlight;
          color: HighlightText;
        }
      }
      fieldset input:focus-visible + span {
        outline: 2px solid var(--small);
        outline-offset: 1px;
      }
      .dial {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
        font-size: var(--s-1);
        color: var(--ink-2);
      }
      .dial input {
        width: 7.5rem;
      }
      output {
        font-variant-numeric: tabular-nums;
        min-width: 2rem;
      }
      @media (max-width: 54rem) {
        fieldset {
          flex-wrap: wrap;
          width: 100%;
        }
        fieldset label {
          flex: 1;
        }
        fieldset span {
          padding-inline: 0.2rem;
        }
        .dial,
        .dial input {
          flex: 1;
        }
      }
    `,
  ];
}

customElements.define('baton-policy', BatonPolicy);
