// Who wrote when: one lane per author over the run's time. The pale beginning of a block is the wait for its first
// token; the large lane is hatched, so that the lanes differ without colour.

import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { styleMap } from 'lit/directives/style-map.js';
import type { LiveSegment } from '../../run/live-trace.ts';
import { store } from '../../state/app-state.ts';
import { StoreController } from '../../state/store-controller.ts';
import { base, controls } from '../../styles/shared.ts';
import { seconds, tokenCount } from '../../trace/figures.ts';
import { AUTHORS } from '../../trace/words.ts';

/** Of a block. */
const NARROWEST_PX = 5;

export class BatonTimeline extends LitElement {
  readonly #store = new StoreController(this);

  protected override render(): TemplateResult | typeof nothing {
    const { run } = this.#store.value;
    if (run === null || run.live.segments.length === 0) return nothing;
    const { segments } = run.live;
    const now = run.trace?.totals.elapsedMs ?? performance.now() - run.began;
    const whole = Math.max(now, ...segments.map((s) => s.endMs ?? 0), 1);
    return html`
      <section aria-labelledby="timeline-title">
        <h2 id="timeline-title">Who wrote when</h2>
        <div class="chart">
          ${(['small', 'large'] as const).map(
            (origin) => html`
              <span class="name quiet">${origin === 'small' ? 'Small' : 'Large'}</span>
              <div class="lane ${origin}" role="group" aria-label=${AUTHORS[origin]}>
                ${segments.map((s, i) => (s.origin === origin ? this.#block(s, i, whole) : nothing))}
              </div>
            `,
          )}
          <span></span>
          <div class="axis quiet" aria-hidden="true">
            <span>0</span><span>${seconds(whole / 2)}</span><span>${seconds(whole)}</span>
          </div>
        </div>
      </section>
    `;
  }

  #block(segment: LiveSegment, index: number, whole: number): TemplateResult {
    const { selected } = this.#store.value;
    const { origin, startMs, firstTokenMs, tokens, discardedTokens } = segment;
    const end = segment.endMs ?? whole;
    const width = Math.max(end - startMs, 0);
    const wait = firstTokenMs === null ? width : Math.min(firstTokenMs - startMs, width);
    const extra = discardedTokens > 0 ? `, ${discardedTokens} discarded` : '';
    const label = `Segment ${index + 1}, ${AUTHORS[origin].toLowerCase()}: ${tokenCount(tokens)}${extra}, from ${seconds(startMs)} to ${seconds(end)}`;
    const place = styleMap({
      // As wide as the narrowest, the last one would leave the lane.
      left: `min(${(100 * startMs) / whole}%, 100% - ${NARROWEST_PX}px)`,
      width: `${(100 * width) / whole}%`,
      '--wait': width === 0 ? '0%' : `${(100 * wait) / width}%`,
    });
    return html`<button
      class="block told-by-colour"
      style=${place}
      title=${label}
      aria-label=${label}
      aria-pressed=${selected === index}
      @click=${() => store.patch({ selected: selected === index ? null : index })}
    ></button>`;
  }

  static override readonly styles = [
    base,
    controls,
    css`
      section {
        padding-top: 1rem;
        border-top: 1px solid var(--line);
      }
      .chart {
        display: grid;
        grid-template-columns: 3rem 1fr;
        gap: 0.35rem 0.5rem;
        align-items: center;
        margin-top: 0.7rem;
      }
      .lane {
        position: relative;
        height: 1.5rem;
        border-radius: 6px;
        background: var(--sunken);
      }
      .block {
        position: absolute;
        top: 0;
        height: 100%;
        min-height: 0;
        min-width: ${NARROWEST_PX}px;
        padding: 0;
        border: 0;
        border-radius: 4px;
        --pale: color-mix(in srgb, var(--hue) 32%, var(--sunken));
        background: linear-gradient(to right, var(--pale) var(--wait), var(--hue) var(--wait));
      }
      @media (forced-colors: active) {
        .lane {
          border: 1px solid;
        }
      }
      .small .block {
        --hue: var(--small);
      }
      .large .block {
        --hue: var(--large);
        background:
          repeating-linear-gradient(-55deg, transparent 0 4px, rgb(255 255 255 / 38%) 4px 6px),
          linear-gradient(to right, var(--pale) var(--wait), var(--hue) var(--wait));
      }
      .block[aria-pressed='true'] {
        outline: 2px solid var(--ink);
        outline-offset: 1px;
        z-index: 1;
      }
      .axis {
        display: flex;
        justify-content: space-between;
        font-variant-numeric: tabular-nums;
        font-size: 0.75rem;
      }
    `,
  ];
}

customElements.define('baton-timeline', BatonTimeline);
