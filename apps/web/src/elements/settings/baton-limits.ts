// Limits and sampling of a run.

import { LitElement, css, html, type TemplateResult } from 'lit';
import { changeSettings } from '../../state/app-state.ts';
import type { Settings } from '../../state/settings.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';

type NumberField = 'maxTokens' | 'maxOffload' | 'temperature' | 'seed';

const FIELDS: readonly [NumberField, string, number, number, number][] = [
  ['maxTokens', 'Longest answer (tokens)', 1, 32768, 1],
  ['maxOffload', 'Most of it from the large model (0 to 1)', 0, 1, 0.01],
  ['temperature', 'Temperature (0 is always the likeliest word)', 0, 2, 0.05],
  ['seed', 'Seed (with a temperature)', 0, 4294967295, 1],
];

export class BatonLimits extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { settings } = this.#store.value;
    return html`
      <div class="grid">
        ${FIELDS.map(
          ([name, label, min, max, step]) => html`
            <label class="field">
              ${label}
              <input
                type="number"
                min=${min}
                max=${max}
                step=${step}
                .value=${String(settings[name])}
                @change=${(e: Event) => set(name, e)}
              />
            </label>
          `,
        )}
      </div>
    `;
  }

  static override readonly styles = [
    base,
    controls,
    css`
      .grid {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.9rem;
        align-items: end;
      }
    `,
  ];
}

function set(name: NumberField, event: Event): void {
  const input = event.target as HTMLInputElement;
  // An impossible number is refused by the browser's own message, and the old one stays in force.
  if (input.reportValidity() && input.value !== '')
    changeSettings({ [name]: input.valueAsNumber } as Partial<Settings>);
}

customElements.define('baton-limits', BatonLimits);
