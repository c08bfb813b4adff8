// SplitReason's draft rewriting: the small model thinks, condenses its thoughts several times, the longest condensation
// stands, and the large model writes the answer from it.

import { acceptDraft, writeDraft } from '../relay/draft.ts';
import type { Draft } from '../relay/draft.ts';
import type { Relay } from '../relay/relay.ts';
import { isAbort } from '../split-error.ts';
import { NO_MARKERS } from '../text/tags.ts';
import type { TraceStopReason } from '../trace.ts';
import { finishAlone, largeGone } from './alone.ts';
import type { Policy } from './policy.ts';

export interface RewritingOptions {
  /** Rewrites to choose from. */
  drafts?: number;
  /** Rounds of thinking and rewriting before the answer. */
  rounds?: number;
  maxThoughtTokens?: number;
}

export function draftRewriting(options: RewritingOptions = {}): Policy {
  const { drafts = 2, rounds = 1, maxThoughtTokens = 1024 } = options;
  return {
    name: `rewrite:${drafts}`,
    needs: { small: true, large: true },
    async run(relay: Relay): Promise<TraceStopReason> {
      try {
        for (let round = 0; round < rounds; round++) {
          const best = await thinkAndCondense(relay, drafts, maxThoughtTokens);
          // The paper's nudge that makes the next writer check instead of concluding.
          acceptDraft(relay, `${best.text.trimEnd()}\nWait, `, best.tokens, best);
        }
      } catch (error) {
        if (!isAbort(error) || relay.parts.signal.aborted) return relay.smallFailed(error);
      }
      const answer = relay.admission();
      if (!answer.admitted) {
        relay.ledger.end('rejected', { detail: answer.why });
        return finishAlone(relay);
      }
      relay.ledger.end('hand-off');
      const result = await relay.span({
        rule: { kind: 'end' },
        maxTokens: Math.min(answer.maxTokens, relay.tokensLeft),
        markers: NO_MARKERS,
      });
      if (result.kind === 'large-failed') return largeGone(relay, result.error);
      if (result.kind === 'small-failed') return relay.smallFailed(result.error);
      return result.kind === 'final' ? 'end' : 'length';
    },
  };
}

async function thinkAndCondense(relay: Relay, drafts: number, maxTokens: number): Promise<Draft> {
  const room = Math.min(maxTokens, relay.tokensLeft);
  const thought = await writeDraft(relay, relay.smallText, { maxTokens: room, ends: ['</think>'] });
  relay.overhead.smallTokens += thought.tokens;
  const text = thought.text.replace(/<\/think>\s*$/, '').trimEnd();
  const prompt = await condensePrompt(relay, text);
  let best: Draft | null = null;
  for (let n = 0; n < drafts; n++) {
    const draft = await writeDraft(relay, prompt, { maxTokens: room, ends: ['</think>'] });
    draft.text = draft.text.replace(/<\/think>\s*$/, '').trim();
    if (best === null || draft.text.length > best.text.length) {
      relay.overhead.smallTokens += best?.tokens ?? 0;
      best = draft;
    } else relay.overhead.smallTokens += draft.tokens;
  }
  // A model that cannot condense leaves nothing; its thoughts then stand as they are.
  return best && best.text !== '' ? best : { ...thought, text };
}

async function condensePrompt(relay: Relay, thought: string): Promise<string> {
  const content = `${relay.parts.question}\n\nHere is a solution attempt:\n${thought}\n\nRewrite it shorter. Keep every step that matters.`;
  const { model } = relay.small;
  if (model.renderChat) return model.renderChat([{ role: 'user', content }], { addGenerationPrompt: true });
  return `${content}\n\n`;
}
