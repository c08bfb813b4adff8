// The large model: the demo's own in this page, or any OpenAI-compatible server. The key stays in memory unless the person
// ticks the box.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { PRESETS } from '@baton/split';
import { BRIDGE } from '../../run/bridge.ts';
import { HERE } from '../../run/large-here.ts';
import { checkEndpoint, testEndpoint } from '../../run/large-model.ts';
import { changeSettings, store, type LargeState } from '../../state/app-state.ts';
import type { Settings } from '../../state/settings.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls, forms } from '../../styles/shared.ts';

export class BatonEndpoint extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { settings, large } = this.#store.value;
    const preset = PRESETS.find(({ name }) => name === settings.endpointKind);
    return html`
      <form @submit=${this.#test}>
        <label class="field">
          Server
          <select @change=${this.#kind}>
            <option value=${HERE} .selected=${settings.endpointKind === HERE}>
              none: demo-large in this page
            </option>
            <option value=${BRIDGE} .selected=${settings.endpointKind === BRIDGE}>
              the bridge on this machine
            </option>
            <option value="auto" .selected=${settings.endpointKind === 'auto'}>Find out by asking</option>
            ${PRESETS.map(({ name }) => html`<option value=${name} .selected=${settings.endpointKind === name}>${name}</option>`)}
          </select>
        </label>
        ${preset ? html`<p class="quiet remark">${preset.remark}</p>` : nothing}
        ${this.#more(settings, large)}
      </form>
    `;
  }

  #more(settings: Settings, large: LargeState): TemplateResult {
    if (settings.endpointKind === HERE) return this.#here(large);
    if (settings.endpointKind === BRIDGE) return this.#bridge(large);
    return this.#server(settings, large);
  }

  #bridge(large: LargeState): TemplateResult {
    return html`
      <p class="quiet">Its address and pairing are under “The bridge on this machine” below.</p>
      ${large.status === 'ready' ? html`<p class="good" role="status">${large.id} · ${large.detail}</p>` : nothing}
      ${large.status === 'down' ? html`<p class="bad" role="alert">${large.message}</p>` : nothing}
    `;
  }

  #here(large: LargeState): TemplateResult {
    return html`
      <p class="quiet">
        Another worker of this page plays the large model, so nothing leaves this machine. It knows the demo’s
        arithmetic problems only; name a server for anything else.
      </p>
      ${large.status === 'down' ? html`<p class="bad" role="alert">${large.message}</p>` : nothing}
    `;
  }

  #server(settings: Settings, large: LargeState): TemplateResult {
    return html`
      <label class="field">
        Address
        <input
          type="url"
          placeholder="http://127.0.0.1:8787/v1"
          autocomplete="off"
          .value=${settings.endpointUrl}
          @change=${this.#set('endpointUrl')}
        />
      </label>
      <label class="field">
        Model id
        <input
          type="text"
          placeholder="the server’s first model"
          autocomplete="off"
          spellcheck="false"
          .value=${settings.endpointModel}
          @change=${this.#set('endpointModel')}
        />
      </label>
      <label class="field">
        API key
        <input
          type="password"
          placeholder="none"
          autocomplete="off"
          .value=${settings.apiKey}
          @change=${this.#set('apiKey')}
        />
      </label>
      <label class="tick">
        <input
          type="checkbox"
          .checked=${settings.rememberKey}
          @change=${(e: Event) => changeSettings({ rememberKey: (e.target as HTMLInputElement).checked })}
        />
        Keep the key in this browser. Otherwise it is forgotten when the page closes.
      </label>
      <div class="row">
        <button ?disabled=${settings.endpointUrl.trim() === '' || large.status === 'checking'}>
          Test connection
        </button>
        <p role="status" class=${large.status === 'down' ? 'bad' : large.status === 'ready' ? 'good' : ''}>
          ${
            large.status === 'ready'
              ? `${large.id} · ${large.detail}`
              : large.status === 'down'
                ? large.message
                : large.status === 'checking'
                  ? 'Asking …'
                  : ''
          }
        </p>
      </div>
      <p class="quiet">
        The test sends a few one-token requests about the days of the week. A run sends your question and the
        reasoning so far; the page lists every request under the trace.
      </p>
    `;
  }

  #set(field: 'endpointUrl' | 'endpointModel' | 'apiKey'): (event: Event) => void {
    return (event) => {
      const value = (event.target as HTMLInputElement).value.trim();
      changeSettings({
        [field]: value,
        ...(field === 'apiKey' ? {} : { endpointOwn: true }),
      } as Partial<Settings>);
      store.patch({ large: { status: store.value.settings.endpointUrl === '' ? 'none' : 'unchecked' } });
    };
  }

  #kind(event: Event): void {
    const endpointKind = (event.target as HTMLSelectElement).value;
    const preset = PRESETS.find(({ name }) => name === endpointKind);
    const { endpointUrl } = this.#store.value.settings;
    // A preset's usual address fills an empty field; one that the person typed stays.
    const known = PRESETS.some(({ url }) => url === endpointUrl);
    const url = preset?.url && (endpointUrl === '' || known) ? { endpointUrl: preset.url } : {};
    changeSettings({ endpointKind, endpointOwn: true, ...url });
    // Not with the next frame, as for other changes: the address would go over what was typed since.
    this.requestUpdate();
    if (endpointKind === HERE || endpointKind === BRIDGE) void checkEndpoint();
    else store.patch({ large: { status: store.value.settings.endpointUrl === '' ? 'none' : 'unchecked' } });
  }

  #test(event: Event): void {
    event.preventDefault();
    void testEndpoint();
  }

  static override readonly styles = [
    base,
    controls,
    forms,
    css`
      .remark {
        margin-top: -0.5rem;
      }
      .tick {
        display: flex;
        gap: 0.6rem;
        align-items: baseline;
        font-size: var(--s-1);
        color: var(--ink-2);
      }
      .row {
        display: flex;
        gap: 0.9rem;
        align-items: center;
      }
      .row button {
        flex: none;
      }
      .row p {
        font-size: var(--s-1);
        overflow-wrap: anywhere;
      }
    `,
  ];
}

customElements.define('baton-endpoint', BatonEndpoint);
