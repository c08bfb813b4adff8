// Speculative decoding over text: the small model drafts a few tokens, one pass of the large model scores them, and the
// longest beginning that the large model would have written itself is kept. The result is the large model's own greedy
// text, token for token; only the number of its passes changes. Needs prompt log-probabilities.

import { acceptDraft, writeDraft } from '../relay/draft.ts';
import type { Draft } from '../relay/draft.ts';
import { canScore, scorePiece } from '../relay/prompt-scores.ts';
import type { PromptToken } from '../relay/prompt-scores.ts';
import type { Relay } from '../relay/relay.ts';
import { EndpointError, SplitError } from '../split-error.ts';
import { NO_MARKERS } from '../text/tags.ts';
import type { TraceStopReason } from '../trace.ts';
import { finishAlone, largeGone } from './alone.ts';
import type { Policy } from './policy.ts';

export function speculative(draftTokens = 8): Policy {
  return {
    name: `speculative:${draftTokens}`,
    needs: { small: true, large: true },
    // Every correction is a span of one token.
    mostSpans: Infinity,
    async run(relay: Relay): Promise<TraceStopReason> {
      if (!canScore(relay.large.model))
        throw new SplitError('unsuitable-model', `${relay.large.model.id} gives no prompt log-probabilities`);
      for (;;) {
        if (relay.largeFailed !== null) return finishAlone(relay);
        if (relay.tokensLeft <= 0) return end(relay, 'length');
        const { input, perToken } = relay.large.nextCost(relay.answer);
        // A pass over the draft, then perhaps a token of the large model's own.
        const affordable = relay.admission({ cost: input + perToken, shortest: 2 });
        if (!affordable.admitted || affordable.maxTokens < 2) {
          relay.ledger.end('rejected', affordable.admitted ? {} : { detail: affordable.why });
          return finishAlone(relay);
        }
        let draft: Draft;
        try {
          const maxTokens = Math.min(draftTokens, relay.tokensLeft);
          draft = await writeDraft(relay, relay.smallText, { maxTokens, sampling: { temperature: 0 } });
        } catch (error) {
          return relay.smallFailed(error);
        }
        if (draft.end === 'context' && draft.text === '') return end(relay, 'context');
        let accepted = { text: '', tokens: 0 };
        try {
          if (draft.text !== '') {
            const { tokens, covered } = await scorePiece(relay, relay.answer, draft.text);
            // A token that straddles the seam cannot be compared; the large model then writes here itself.
            accepted = covered ? agreed(tokens) : accepted;
          }
        } catch (error) {
          if (relay.parts.signal.aborted) return relay.smallFailed(error);
          if (!(error instanceof EndpointError)) throw error;
          relay.failLarge(error);
          acceptDraft(relay, draft.text, draft.tokens, draft);
          continue;
        }
        const whole = accepted.text === draft.text;
        const tokens = whole ? draft.tokens : Math.min(accepted.tokens, draft.tokens);
        relay.overhead.smallTokens += draft.tokens - tokens;
        acceptDraft(relay, accepted.text, tokens, draft);
        if (whole && draft.end === 'length' && draft.text !== '') continue;
        const answer = relay.admission({ shortest: 1 });
        if (!answer.admitted) {
          relay.ledger.end('rejected', { detail: answer.why });
          return finishAlone(relay);
        }
        relay.ledger.end('hand-off');
        // The large model's own next token: its correction, or its word that the text ends here.
        const result = await relay.span({
          rule: { kind: 'tokens', tokens: 1 },
          maxTokens: 1,
          markers: NO_MARKERS,
          endIsFinal: true,
        });
        if (result.kind === 'final') return 'end';
        if (result.kind === 'large-failed') return largeGone(relay, result.error);
        if (result.kind === 'small-failed') return relay.smallFailed(result.error);
      }
    },
  };
}

function agreed(tokens: readonly PromptToken[]): { text: string; tokens: number } {
  // Two tokens that are parts of characters look the same as text; they are never taken for equal.
  const first = tokens.findIndex((token) => token.text !== token.best || token.text.includes('\uFFFD'));
  const kept = first < 0 ? tokens : tokens.slice(0, first);
  return { text: kept.map((token) => token.text).join(''), tokens: kept.length };
}

function end(relay: Relay, reason: 'length' | 'context'): TraceStopReason {
  relay.ledger.end(reason);
  return reason;
}
