// RelayLLM's protocol (arXiv 2601.05167): the small model writes <call>n</call> and the large one then writes n tokens.
// Hand-back needs no decision at all.

import type { Relay } from '../relay/relay.ts';
import type { TraceStopReason } from '../trace.ts';
import { endSmall } from './alone.ts';
import type { Policy } from './policy.ts';

const CALL_OPEN = '<call>';
const CALL_CLOSE = '</call>';

export const lengthCall: Policy = {
  name: 'call',
  needs: { small: true, large: true },
  // It knows how much help it asks for.
  mostSpans: Infinity,
  async run(relay: Relay): Promise<TraceStopReason> {
    let declined = false;
    let refused = false;
    for (;;) {
      const stop = await relay.write({
        ban: declined ? 'first' : 'always',
        stops: [CALL_OPEN],
        // Right after a refusal it would only ask for the same again.
        ...(refused ? { bannedFirst: await relay.small.beginningsOf(CALL_OPEN) } : {}),
      });
      declined = stop.kind === 'hand-off';
      refused = false;
      if (stop.kind === 'failed') return relay.smallFailed(stop.error);
      if (stop.kind === 'pause' || stop.kind === 'hand-off' || stop.kind === 'step') continue;
      if (stop.kind !== 'text') return endSmall(relay, stop.kind);
      const wanted = await requestedLength(relay);
      if (typeof wanted !== 'number') return relay.smallFailed(wanted.error);
      const answer = relay.admission();
      if (!(wanted >= 1) || !answer.admitted) {
        const why = answer.admitted ? 'the requested length is not a number' : answer.why;
        relay.ledger.end('rejected', { detail: why });
        refused = true;
        continue;
      }
      relay.ledger.end('hand-off', { detail: `asked for ${wanted} tokens` });
      const tokens = Math.min(wanted, answer.maxTokens);
      // The small model goes on reading its own request in front of the span, as it was trained to.
      const markers = { open: `${CALL_OPEN}${wanted}${CALL_CLOSE}`, close: '' };
      const result = await relay.span({
        rule: { kind: 'tokens', tokens },
        maxTokens: tokens,
        markers,
        endIsFinal: true,
      });
      if (result.kind === 'final') return 'end';
      // On its own the small model may ask on; each request is declined and none is shown.
      if (result.kind === 'large-failed') relay.failLarge(result.error);
      if (result.kind === 'small-failed') return relay.smallFailed(result.error);
      if (relay.tokensLeft <= 0) return 'length';
    }
  },
};

/** What the small model writes between the call tags; NaN where it is no whole number. Not part of the answer. */
async function requestedLength(relay: Relay): Promise<number | { error: unknown }> {
  const { small, parts, ledger } = relay;
  let inside = '';
  let tokens = 0;
  try {
    for await (const token of small.write(relay.smallText + CALL_OPEN, {
      maxTokens: Math.max(1, Math.min(12, relay.tokensLeft)),
      sampling: relay.nextSampling(),
      signal: parts.signal,
    })) {
      inside += token.text;
      tokens += token.count;
      if (inside.includes(CALL_CLOSE)) break;
    }
  } catch (error) {
    return { error };
  }
  ledger.add('', Math.min(tokens, relay.tokensLeft));
  const match = /^\s*(\d{1,6})\s*<\/call>/.exec(inside);
  return match ? Number(match[1]) : Number.NaN;
}
