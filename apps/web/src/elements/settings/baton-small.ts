// Which checkpoint the small model is. Any Hugging Face checkpoint of a known family can be named: it is compiled in this
// page, so nobody has to convert it first. Or none: the model is the bridge's, or a server's.

import { LitElement, html, nothing, type TemplateResult } from 'lit';
import { smallModel } from '../../run/small-model.ts';
import { changeSettings, goesOn, store } from '../../state/app-state.ts';
import type { Settings } from '../../state/settings.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls, forms } from '../../styles/shared.ts';

const KINDS: readonly [Settings['smallKind'], string][] = [
  ['demo', 'demo-small, beside this page'],
  ['hub', 'A model of the Hugging Face hub'],
  ['url', 'A folder at an address'],
  ['bridge', 'The bridge’s, on this machine'],
  ['server', 'A server’s, with log-probabilities'],
];

const WEIGHTS: readonly [Settings['smallWeights'], string][] = [
  ['int4', '4-bit integers: smallest, fastest'],
  ['int8', '8-bit integers: closer to the original'],
  ['f32', '32-bit floats: the original'],
];

export class BatonSmall extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { settings, small, run } = this.#store.value;
    const busy = goesOn(run) || small.status === 'opening';
    return html`
      <form @submit=${this.#open}>
        <label class="field">
          Checkpoint
          <select ?disabled=${busy} @change=${this.#kind}>
            ${KINDS.map(([kind, name]) => html`<option value=${kind} .selected=${settings.smallKind === kind}>${name}</option>`)}
          </select>
        </label>
        ${this.#more(settings, busy)}
        ${small.status === 'opening' ? html`<p class="quiet" role="status">${stage(small)}</p>` : nothing}
        ${small.status === 'failed' ? html`<p class="bad" role="alert">${small.message}</p>` : nothing}
      </form>
    `;
  }

  #more(settings: Settings, busy: boolean): TemplateResult | typeof nothing {
    if (settings.smallKind === 'demo') return nothing;
    if (settings.smallKind === 'server') return this.#server(settings, busy);
    if (settings.smallKind !== 'bridge') return this.#source(settings, busy);
    return html`<p class="quiet">
      It runs what it was started with; see “The bridge on this machine” below.
    </p>`;
  }

  #server(settings: Settings, busy: boolean): TemplateResult {
    return html`
      <label class="field">
        Address of the server
        <input
          name="server"
          type="url"
          required
          placeholder="http://127.0.0.1:8000/v1"
          autocomplete="off"
          .value=${settings.smallServer}
        />
      </label>
      <label class="field">
        Model id
        <input
          name="model"
          type="text"
          placeholder="the server’s first model"
          autocomplete="off"
          spellcheck="false"
          .value=${settings.smallServerModel}
        />
      </label>
      <label class="field">
        Key
        <input
          name="key"
          type="password"
          placeholder="none"
          autocomplete="off"
          .value=${store.value.smallKey}
        />
      </label>
      <button ?disabled=${busy}>Open</button>
      <p class="quiet">
        Any server that completes text and tells log-probabilities: vLLM, SGLang, llama.cpp, baton serve. Your
        question and everything that is written are sent there; the page lists every request under the trace.
        The key is forgotten when the page closes.
      </p>
    `;
  }

  #source(settings: Settings, busy: boolean): TemplateResult {
    const hub = settings.smallKind === 'hub';
    return html`
      <label class="field">
        ${hub ? 'Model id' : 'Address of the folder that holds config.json'}
        <input
          name="address"
          type=${hub ? 'text' : 'url'}
          required
          placeholder=${hub ? 'Qwen/Qwen2.5-0.5B-Instruct' : 'https://example.org/model/'}
          autocomplete="off"
          spellcheck="false"
          .value=${settings.smallAddress}
        />
      </label>
      <label class="field">
        Weights
        <select name="weights">
          ${WEIGHTS.map(([type, name]) => html`<option value=${type} .selected=${settings.smallWeights === type}>${name}</option>`)}
        </select>
      </label>
      ${
        hub
          ? html`<label class="field">
              Access token, for a gated model
              <input
                name="token"
                type="password"
                placeholder="none"
                autocomplete="off"
                .value=${store.value.hubToken}
              />
            </label>`
          : nothing
      }
      <button ?disabled=${busy}>Open</button>
      <p class="quiet">
        Its weights are fetched once, compiled here and kept in this browser. A model that was not trained to
        hand off writes alone under “Relay”; “Large” and your own endpoint still work.
      </p>
    `;
  }

  #kind(event: Event): void {
    const smallKind = (event.target as HTMLSelectElement).value as Settings['smallKind'];
    changeSettings({ smallKind });
    // A checkpoint that has no address yet waits for the button.
    if (smallKind === 'demo' || smallKind === 'bridge') smallModel().catch(() => undefined);
  }

  #open(event: Event): void {
    event.preventDefault();
    const data = new FormData(event.target as HTMLFormElement);
    const text = (name: string): string => {
      const value = data.get(name);
      return typeof value === 'string' ? value.trim() : '';
    };
    if (store.value.settings.smallKind === 'server') {
      changeSettings({ smallServer: text('server'), smallServerModel: text('model') });
      store.patch({ smallKey: text('key') });
    } else {
      changeSettings({
        smallAddress: text('address'),
        smallWeights: text('weights') as Settings['smallWeights'],
      });
      store.patch({ hubToken: text('token') });
    }
    // Its failure is shown from the store.
    smallModel().catch(() => undefined);
  }

  static override readonly styles = [base, controls, forms];
}

function stage({ stage, fraction }: { stage: string; fraction: number | null }): string {
  return fraction === null ? `${stage} …` : `${stage}, ${Math.round(fraction * 100)} %`;
}

customElements.define('baton-small', BatonSmall);
