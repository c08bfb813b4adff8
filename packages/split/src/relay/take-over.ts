// A small model whose context is full cannot read on, however the run was meant to go: the large model, which usually has room,
// writes the rest of the answer alone, as far as budgets and the policy let it.

import { isAbort, messageOf } from '../split-error.ts';
import { NO_MARKERS } from '../text/tags.ts';
import type { TraceStopReason } from '../trace.ts';
import type { Relay } from './relay.ts';

export const FULL = "the small model's context is full";

/**
 * The large model finishes what the small one has no room for: span after span, each as long as a budget lets it be. 'context' where it
 * may not be asked or fails; the notes say why.
 */
export async function takeOver(relay: Relay): Promise<TraceStopReason> {
  const { ledger } = relay;
  for (let asked = false; ; asked = true) {
    if (relay.tokensLeft <= 0) return 'length';
    const answer = relay.admission();
    if (!answer.admitted) {
      const rest = asked ? 'the large model may write no more' : 'the large model may not take over';
      ledger.note(`${FULL}, and ${rest}: ${answer.why}`);
      return 'context';
    }
    if (!asked) ledger.note(`${FULL}; the large model goes on alone`);
    const { maxTokens } = answer;
    const result = await relay.span({ rule: { kind: 'end' }, maxTokens, markers: NO_MARKERS, unread: true });
    if (result.kind === 'final') return 'end';
    if (result.kind === 'small-failed') return isAbort(result.error) ? relay.stopReason() : 'error';
    if (result.kind === 'large-failed') {
      relay.largeFailed = `the large endpoint failed: ${messageOf(result.error)}`;
      ledger.note(`${relay.largeFailed}; nobody is left to go on`);
      return 'context';
    }
    // Its own limit is reached: asked again it would write nothing again.
    if (result.empty) return 'length';
  }
}

/** Whether an error is that of a small model that has no room for more text. */
export function isFull(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'context-full';
}
