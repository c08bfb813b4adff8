// The bridge: what it is, what the browser will ask and why, and then looking for it, pairing with it, using it. Nothing is
// sent to it before the person presses a button.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { BRIDGE, forgetBridge, lookForBridge, pairBridge } from '../../run/bridge.ts';
import { checkEndpoint } from '../../run/large-model.ts';
import { smallModel } from '../../run/small-model.ts';
import { changeSettings, goesOn, store, type BridgeStatus } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls, forms } from '../../styles/shared.ts';

export class BatonBridge extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { bridge, bridgeOffer, settings } = this.#store.value;
    const own = settings.bridgeUrl === location.origin;
    return html`
      <p class="quiet">
        A program of your own on this machine. It reaches what a page cannot: the NPU, and models that are on
        your disk. ${own ? 'It served you this page.' : nothing}
      </p>
      ${own ? nothing : this.#before()}
      <form @submit=${this.#look}>
        <label class="field">
          Where the bridge is
          <input
            type="url"
            required
            autocomplete="off"
            .value=${bridgeOffer?.url ?? settings.bridgeUrl}
            @change=${this.#address}
          />
        </label>
        <button ?disabled=${bridge.status === 'asking'}>Look for the bridge</button>
      </form>
      ${this.#after(bridge)}
    `;
  }

  #before(): TemplateResult {
    return html`
      <pre
        role="region"
        aria-label="Command that starts the bridge"
        tabindex="0"
      ><code>npx @baton/bridge serve --model demo-small --allow-origin ${location.origin}</code></pre>
      <p class="quiet" id="why">
        When you look for it, your browser may ask whether this page may reach devices on your network or apps
        on this device. That means the bridge: this page sends it your questions, nothing else, and only after
        you have paired the two with the code that the bridge shows.
      </p>
    `;
  }

  #after(bridge: BridgeStatus): TemplateResult | typeof nothing {
    switch (bridge.status) {
      case 'unknown':
        return nothing;
      case 'asking':
        return html`<p role="status" class="quiet">Asking …</p>`;
      case 'trouble':
        return html`<p role="alert" class="bad">${bridge.message}</p>`;
      case 'unpaired':
        return html`
          ${bridge.message === '' ? nothing : html`<p role="alert" class="bad">${bridge.message}</p>`}
          <form @submit=${this.#pair}>
            <label class="field">
              Code that the bridge shows (or: baton-bridge pair)
              <input
                name="code"
                required
                pattern="[A-Za-z0-9 \\-]{8,12}"
                placeholder="K7QF-3MTX"
                autocomplete="off"
                spellcheck="false"
                .value=${store.value.bridgeOffer?.code ?? ''}
              />
            </label>
            <button>Pair</button>
          </form>
        `;
      case 'ready':
        return this.#ready(bridge.detail, bridge.sessions);
    }
  }

  #ready(detail: string, sessions: boolean): TemplateResult {
    const { settings, run, small } = this.#store.value;
    const { smallKind, endpointKind } = settings;
    // Another small model would close the one that writes.
    const busy = goesOn(run) || small.status === 'opening';
    return html`
      <p role="status" class="good">Paired: ${detail}</p>
      <div class="row">
        <button
          ?disabled=${!sessions || smallKind === 'bridge' || busy}
          title=${sessions ? '' : 'A relay has two models already.'}
          @click=${this.#asSmall}
        >
          ${smallKind === 'bridge' ? 'It is the small model' : 'Use as the small model'}
        </button>
        <button ?disabled=${endpointKind === BRIDGE} @click=${this.#asLarge}>
          ${endpointKind === BRIDGE ? 'It is the large model' : 'Use as the large model'}
        </button>
        <button class="plain" @click=${forgetBridge}>Forget it</button>
      </div>
    `;
  }

  #address(event: Event): void {
    const bridgeUrl = (event.target as HTMLInputElement).value.trim().replace(/\/(v1\/?)?$/, '');
    // A token is worth nothing at another address, and must not be sent there.
    changeSettings({ bridgeUrl, bridgeToken: '' });
    store.patch({ bridge: { status: 'unknown' }, bridgeOffer: null });
  }

  #look(event: Event): void {
    event.preventDefault();
    void lookForBridge();
  }

  #pair(event: Event): void {
    event.preventDefault();
    const code = new FormData(event.target as HTMLFormElement).get('code');
    void pairBridge(typeof code === 'string' ? code : '');
  }

  #asSmall(): void {
    changeSettings({ smallKind: 'bridge' });
    // Its failure is shown from the store.
    smallModel().catch(() => undefined);
  }

  #asLarge(): void {
    changeSettings({ endpointKind: BRIDGE, endpointOwn: true });
    void checkEndpoint();
  }

  static override readonly styles = [
    base,
    controls,
    forms,
    css`
      :host {
        display: grid;
        gap: 0.9rem;
      }
      pre {
        overflow-x: auto;
        font-size: var(--s-1);
        padding: 0.6rem 0.8rem;
        background: var(--sunken);
        border-radius: var(--radius);
      }
      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 0.6rem;
      }
    `,
  ];
}

customElements.define('baton-bridge', BatonBridge);
