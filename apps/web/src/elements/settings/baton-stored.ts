// The models that this browser keeps, each with its size and a way to delete it; and whether the browser promises to keep them.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import type { StoredModel } from '@baton/runtime/browser';
import { deleteStored, keepStored } from '../../run/stored-models.ts';
import type { StoredState } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';

export class BatonStored extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult {
    const { stored } = this.#store.value;
    if (stored === null) return html`<p class="quiet">Looking …</p>`;
    if (stored.status === 'none')
      return html`<p class="quiet">
        This window keeps no files (a private window, perhaps): models are fetched again at every visit.
      </p>`;
    return this.#known(stored);
  }

  #known({ models, persistence, space }: StoredState & { status: 'known' }): TemplateResult {
    return html`
      ${
        models.length === 0
          ? html`<p class="quiet">None yet.</p>`
          : html`<ul>
              ${models.map((model) => row(model))}
            </ul>`
      }
      <p class="quiet" data-persisted=${persistence.persisted} role="status">
        ${sentence(persistence.detail)}
        ${space ? `This page uses ${megabytes(space.used)} of the ${megabytes(space.quota)} it may have.` : nothing}
      </p>
      ${
        persistence.persisted
          ? nothing
          : html`<button type="button" @click=${() => void keepStored()}>
              Ask the browser to keep them
            </button>`
      }
    `;
  }

  static override readonly styles = [
    base,
    controls,
    css`
      ul {
        list-style: none;
        display: grid;
        gap: 0.5rem;
        margin-bottom: 0.7rem;
      }
      li {
        display: flex;
        gap: 0.6rem;
        align-items: baseline;
        font-size: var(--s-1);
      }
      .name {
        font-weight: 560;
        overflow-wrap: anywhere;
      }
      .size {
        color: var(--ink-3);
        margin-right: auto;
        white-space: nowrap;
      }
      li button {
        font-size: inherit;
        color: var(--ink-2);
      }
      p + button {
        margin-top: 0.7rem;
      }
    `,
  ];
}

function row({ name, id, complete, bytes }: StoredModel): TemplateResult {
  const title = id ?? name;
  return html`<li data-stored=${name}>
    <span class="name">${title}</span>
    <span class="size">${megabytes(bytes)}${complete ? '' : ', not complete yet'}</span>
    <button type="button" class="link" aria-label="Delete ${title}" @click=${() => void deleteStored(name)}>
      Delete
    </button>
  </li>`;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function megabytes(bytes: number): string {
  const mb = bytes / 1e6;
  return mb >= 1000 ? `${(mb / 1000).toFixed(1)} GB` : `${mb >= 10 ? Math.round(mb) : mb.toFixed(1)} MB`;
}

customElements.define('baton-stored', BatonStored);
