// Exactly what left the page for the large model: every request with its address, headers and body. The key is the only
// thing that is not shown.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { readableBody } from '../../run/sent-log.ts';
import type { SentRequest } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base } from '../../styles/shared.ts';

export class BatonSent extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult | typeof nothing {
    const { run, sent, settings } = this.#store.value;
    if (run === null || (run.began === 0 && sent.length === 0)) return nothing;
    const count = sent.length === 1 ? '1 request' : `${sent.length} requests`;
    return html`
      <details>
        <summary>
          <h2>Sent to ${settings.smallKind === 'server' ? 'both models’ servers' : 'the large model'}</h2>
          <span class="quiet">${sent.length === 0 ? 'nothing' : count}</span>
        </summary>
        ${
          sent.length === 0
            ? html`<p class="quiet">This run sent nothing.</p>`
            : html`<ol>
                ${sent.map(request)}
              </ol>`
        }
      </details>
    `;
  }

  static override readonly styles = [
    base,
    css`
      details {
        padding-top: 1rem;
        border-top: 1px solid var(--line);
      }
      summary {
        cursor: pointer;
        display: flex;
        gap: 0.6rem;
        align-items: baseline;
      }
      summary::before {
        content: '+';
        width: 0.8rem;
        color: var(--ink-3);
        font-weight: 560;
      }
      details[open] > summary::before {
        content: '−';
      }
      ol {
        list-style: none;
        display: grid;
        gap: 1rem;
        margin-top: 0.9rem;
      }
      .line {
        display: flex;
        flex-wrap: wrap;
        gap: 0.2rem 0.7rem;
        font: 400 0.8125rem / 1.5 var(--mono);
        overflow-wrap: anywhere;
      }
      pre {
        margin: 0.35rem 0 0;
        padding: 0.6rem 0.8rem;
        max-height: 18rem;
        overflow: auto;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
        border-radius: 8px;
        background: var(--sunken);
        font: 400 0.8125rem / 1.5 var(--mono);
      }
      p {
        margin-top: 0.6rem;
      }
    `,
  ];
}

function request({ method, url, headers, body, outcome }: SentRequest): TemplateResult {
  const head = headers.map(([name, value]) => `${name}: ${value}`).join('\n');
  return html`
    <li>
      <p class="line">
        <strong>${method}</strong><span>${url}</span><span class="quiet">${outcome ?? 'under way'}</span>
      </p>
      <pre tabindex="0">${head}${body === '' ? '' : `\n\n${readableBody(body)}`}</pre>
    </li>
  `;
}

customElements.define('baton-sent', BatonSent);
