// The target picker: every execution target with what it would use here, or why it is not available.

import { LitElement, css, html, type TemplateResult } from 'lit';
import type { TargetId } from '@baton/runtime';
import { smallModel } from '../../run/small-model.ts';
import { changeSettings, goesOn } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';

export class BatonTargets extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { targets, settings, small, run } = this.#store.value;
    const busy = goesOn(run);
    const failed = new Map(small.status === 'ready' ? small.failures : []);
    const onBridge = settings.smallKind === 'bridge';
    const elsewhere = onBridge || settings.smallKind === 'server';
    const used = small.status === 'ready' ? small.target : null;
    return html`
      <fieldset ?disabled=${busy || elsewhere}>
        <legend class="visually-hidden">Execution target</legend>
        ${this.#choice('auto', 'the best one that works here', true, settings.target, null)}
        ${
          targets === null
            ? html`<p class="quiet">Asking the browser what it has …</p>`
            : targets.map(({ target, available, reason }) =>
                this.#choice(target, failed.get(target) ?? reason, available, settings.target, used),
              )
        }
      </fieldset>
      ${
        elsewhere
          ? html`<p class="quiet">
              The small model runs on ${onBridge ? 'the bridge' : 'a server'}, which has targets of its own.
            </p>`
          : ''
      }
      ${busy ? html`<p class="quiet">A run is going on; stop it to change the target.</p>` : ''}
    `;
  }

  #choice(
    target: TargetId | 'auto',
    reason: string,
    available: boolean,
    chosen: string,
    used: string | null,
  ): TemplateResult {
    return html`
      <label class=${available ? '' : 'off'} data-target=${target} data-available=${available}>
        <input
          type="radio"
          name="target"
          value=${target}
          .checked=${chosen === target}
          ?disabled=${!available}
          aria-describedby="why-${target}"
          @change=${() => this.#choose(target)}
        />
        <span class="name">${target}${used === target ? html`<em>in use</em>` : ''}</span>
        <span class="why" id="why-${target}">${available ? '' : 'Not available: '}${reason}</span>
      </label>
    `;
  }

  #choose(target: TargetId | 'auto'): void {
    changeSettings({ target });
    // Its failure is shown from the store.
    smallModel().catch(() => undefined);
  }

  static override readonly styles = [
    base,
    controls,
    css`
      fieldset {
        display: grid;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--card);
        overflow: hidden;
      }
      label {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 0 0.7rem;
        padding: 0.6rem 0.9rem;
        cursor: pointer;
      }
      label + label {
        border-top: 1px solid var(--line);
      }
      label:has(:checked) {
        background: var(--sunken);
      }
      label.off {
        cursor: default;
      }
      input {
        margin-top: 0.3rem;
      }
      .name {
        font-weight: 560;
      }
      .off .name {
        color: var(--ink-3);
        font-weight: 480;
      }
      em {
        margin-left: 0.5rem;
        font-style: normal;
        font-weight: 400;
        font-size: var(--s-1);
        color: var(--good);
      }
      .why {
        grid-column: 2;
        font-size: var(--s-1);
        color: var(--ink-3);
        overflow-wrap: anywhere;
      }
      fieldset > p {
        padding: 0.6rem 0.9rem;
      }
    `,
  ];
}

customElements.define('baton-targets', BatonTargets);
