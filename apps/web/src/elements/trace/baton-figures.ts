// The live figures of a run. `data-value` holds each number unrounded, for tests and for people who look.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { goesOn } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base } from '../../styles/shared.ts';
import { figuresOf, percent, seconds, speed, tokenCount } from '../../trace/figures.ts';

/** Ten times a second: a clock that moves, and no more work than that. */
const TICK_MS = 100;

export class BatonFigures extends LitElement {
  readonly #store = new StoreController(this);
  #timer: ReturnType<typeof setTimeout> | undefined;

  protected override render(): TemplateResult | typeof nothing {
    const { run, small } = this.#store.value;
    if (run === null) return nothing;
    const totals = run.trace?.totals ?? null;
    const elapsed = totals?.elapsedMs ?? performance.now() - run.began;
    const f = figuresOf(run.live.segments, elapsed, totals);
    const location = run.live.models.small.location || (small.status === 'ready' ? small.target : '–');
    const target = run.status === 'done' || small.status !== 'ready' ? location : small.target;
    const withSmall =
      run.live.policy !== 'large' || run.live.segments.some(({ origin }) => origin === 'small');
    const description = small.status === 'ready' && small.target === target ? small.description : '';
    return html`
      <dl>
        <div class="wide">
          <dt>Offload ratio</dt>
          <dd data-figure="offload-ratio" data-value=${f.offloadRatio}>
            ${percent(f.offloadRatio)}
            ${
              f.small.tokens + f.large.tokens === 0
                ? nothing
                : html`<span class="bar told-by-colour" aria-hidden="true"
                    ><span style="width: ${f.offloadRatio * 100}%"></span
                  ></span>`
            }
          </dd>
        </div>
        ${row('small-speed', 'Small model', f.small.perSecond, speed(f.small.perSecond), 'tokens/s', tokenCount(f.small.tokens))}
        ${row('large-speed', 'Large model', f.large.perSecond, speed(f.large.perSecond), 'tokens/s', tokenCount(f.large.tokens))}
        ${row('spans', 'Offload spans', f.offloadSpans, String(f.offloadSpans))}
        ${row('discarded', 'Discarded', f.discardedTokens, String(f.discardedTokens), f.discardedTokens === 1 ? 'token' : 'tokens')}
        ${row('elapsed', 'Elapsed', elapsed, seconds(elapsed))}
        ${
          withSmall
            ? html`<div class="wide">
                <dt>Running on</dt>
                <dd data-figure="target" data-value=${target}>${target}<small>${description}</small></dd>
              </div>`
            : nothing
        }
      </dl>
    `;
  }

  protected override updated(): void {
    clearTimeout(this.#timer);
    const { run } = this.#store.value;
    if (goesOn(run)) this.#timer = setTimeout(() => this.requestUpdate(), TICK_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  static override readonly styles = [
    base,
    css`
      dl {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 1.1rem 1.25rem;
      }
      .wide {
        grid-column: 1 / -1;
      }
      dt {
        font-size: var(--s-1);
        color: var(--ink-3);
      }
      dd {
        font-size: var(--s2);
        font-weight: 560;
        letter-spacing: -0.01em;
        line-height: 1.3;
        font-variant-numeric: tabular-nums;
      }
      /* Tabular figures would set its hyphens wide. */
      [data-figure='target'] {
        font-variant-numeric: normal;
      }
      [data-figure='offload-ratio'] {
        font-size: var(--s4);
        font-weight: 600;
        letter-spacing: -0.03em;
        line-height: 1.15;
      }
      .unit,
      small {
        font-size: var(--s-1);
        font-weight: 400;
        letter-spacing: 0;
        color: var(--ink-3);
      }
      small {
        display: block;
        line-height: 1.4;
      }
      .bar {
        display: block;
        height: 8px;
        margin-top: 0.35rem;
        border-radius: 4px;
        overflow: hidden;
        background: var(--small);
      }
      .bar span {
        display: block;
        height: 100%;
        border-right: 2px solid var(--paper);
        background:
          repeating-linear-gradient(-55deg, transparent 0 3px, rgb(255 255 255 / 38%) 3px 5px), var(--large);
      }
      @media (max-width: 54rem) {
        dl {
          grid-template-columns: repeat(3, 1fr);
          padding-top: 1rem;
          border-top: 1px solid var(--line);
        }
      }
      @media (max-width: 26rem) {
        dl {
          grid-template-columns: 1fr 1fr;
        }
      }
    `,
  ];
}

function row(
  key: string,
  name: string,
  value: number | null,
  shown: string,
  unit = '',
  detail = '',
): TemplateResult {
  return html`
    <div>
      <dt>${name}</dt>
      <dd data-figure=${key} data-value=${value ?? ''}>
        ${shown} <span class="unit">${unit}</span>${detail === '' ? nothing : html`<small>${detail}</small>`}
      </dd>
    </div>
  `;
}

customElements.define('baton-figures', BatonFigures);
