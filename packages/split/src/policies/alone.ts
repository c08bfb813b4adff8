// One model writes everything: the two arms that every other policy is measured against.

import type { Relay } from '../relay/relay.ts';
import { isAbort, messageOf } from '../split-error.ts';
import { NO_MARKERS } from '../text/tags.ts';
import type { TraceStopReason } from '../trace.ts';
import type { Policy } from './policy.ts';

/** The small model alone; it may not ask for help. */
export const smallAlone: Policy = { name: 'small', needs: { small: true, large: false }, run: finishAlone };

/** The small model writes to the end with the tag banned. */
export async function finishAlone(relay: Relay): Promise<TraceStopReason> {
  for (let first = true; ; first = false) {
    const stop = await relay.write({ ban: first ? 'always' : 'first' });
    // A tag of several tokens cannot be banned outright; where it is written all the same it is taken out.
    if (stop.kind === 'hand-off' || stop.kind === 'pause') {
      relay.ledger.end('rejected', { detail: 'the small model is on its own' });
      continue;
    }
    if (stop.kind === 'failed') return relay.smallFailed(stop.error);
    return endSmall(relay, stop.kind === 'text' || stop.kind === 'step' ? 'end' : stop.kind);
  }
}

/** Ends the small model's last segment. */
export function endSmall(relay: Relay, kind: 'end' | 'length' | 'context' | 'loop'): TraceStopReason {
  relay.ledger.end(kind, kind === 'loop' ? { detail: 'the small model repeats itself' } : {});
  if (kind === 'loop') relay.ledger.note('the small model repeated itself without progress and was stopped');
  return kind;
}

/** The large model alone. */
export const largeAlone: Policy = {
  name: 'large',
  needs: { small: false, large: true },
  async run(relay): Promise<TraceStopReason> {
    if (relay.tokensLeft < 1) return 'length';
    const answer = relay.allowance();
    if (!answer.admitted) {
      relay.ledger.note(`nothing was asked of the large model: ${answer.why}`);
      return 'budget';
    }
    const { maxTokens } = answer;
    const result = await relay.span({ rule: { kind: 'end' }, maxTokens, markers: NO_MARKERS });
    switch (result.kind) {
      case 'final':
        return 'end';
      case 'hand-back':
        return relay.tokensLeft > 0 && !relay.allowance().admitted ? 'budget' : 'length';
      case 'large-failed':
        return largeGone(relay, result.error);
      case 'small-failed':
        return isAbort(result.error) ? relay.stopReason() : 'error';
    }
  },
};

/** The large model failed for good: the small one answers, where there is one. */
export async function largeGone(relay: Relay, error: unknown): Promise<TraceStopReason> {
  if (!relay.parts.small) {
    relay.ledger.note(`the large endpoint failed: ${messageOf(error)}`);
    return 'error';
  }
  relay.failLarge(error);
  return finishAlone(relay);
}
