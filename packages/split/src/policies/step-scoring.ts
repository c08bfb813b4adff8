// SpecReason's protocol (arXiv 2504.07891): the small model writes a step, the large one judges it in one pass without
// writing, and rewrites it only where the judgement is poor. Training-free; but the large model reads everything.

import { acceptDraft, writeDraft } from '../relay/draft.ts';
import type { Draft } from '../relay/draft.ts';
import { meanLogprob, scorePiece } from '../relay/prompt-scores.ts';
import type { Relay } from '../relay/relay.ts';
import type { TraceStopReason } from '../trace.ts';
import { finishAlone, largeGone } from './alone.ts';
import type { Policy } from './policy.ts';
import { EndpointError } from '../split-error.ts';

export interface StepScoringOptions {
  /**
   * 'rating': the large model is asked for one digit, 0 to 9 (the paper; accepts from 7).
   * 'logprob': mean log-probability that the large model gives the step's tokens.
   */
  by: 'rating' | 'logprob';
  threshold: number;
  ends?: readonly string[];
  maxStepTokens?: number;
}

const NO_MARKERS = { open: '', close: '' };

export function stepScoring(options: StepScoringOptions): Policy {
  const { by, threshold, ends = ['\n\n', '\n'], maxStepTokens = 512 } = options;
  return {
    name: `${by === 'rating' ? 'spec-reason' : 'step-score'}:${threshold}`,
    needs: { small: true, large: true },
    async run(relay: Relay): Promise<TraceStopReason> {
      for (;;) {
        if (relay.largeFailed !== null) return finishAlone(relay);
        if (relay.tokensLeft <= 0) return ended(relay, 'length');
        let step: Draft;
        try {
          const maxTokens = Math.min(maxStepTokens, relay.tokensLeft);
          step = await writeDraft(relay, relay.smallText, { maxTokens, ends });
        } catch (error) {
          return relay.smallFailed(error);
        }
        const answer = relay.admission();
        let score = Infinity;
        try {
          // Without a budget for a rewrite there is nothing to judge for.
          if (answer.admitted && step.text !== '') score = await judge(relay, step.text, by);
        } catch (error) {
          if (relay.parts.signal.aborted) return relay.smallFailed(error);
          if (!(error instanceof EndpointError)) throw error;
          relay.failLarge(error);
        }
        if (score >= threshold || !answer.admitted) {
          acceptDraft(relay, step.text, step.tokens, step);
          if (step.end === 'mark' || (step.end === 'length' && relay.tokensLeft > 0)) continue;
          return ended(relay, step.end === 'stop' ? 'end' : step.end === 'context' ? 'context' : 'length');
        }
        relay.overhead.smallTokens += step.tokens;
        relay.ledger.end('hand-off', { detail: `step scored ${score.toFixed(2)}, asked for ${threshold}` });
        const result = await relay.span({
          rule: { kind: 'after', ends },
          maxTokens: Math.min(maxStepTokens, answer.maxTokens),
          markers: NO_MARKERS,
        });
        if (result.kind === 'final') return 'end';
        if (result.kind === 'large-failed') return largeGone(relay, result.error);
        if (result.kind === 'small-failed') return relay.smallFailed(result.error);
        // The large model had nothing to say either: the small one's step stands.
        if (result.empty) acceptDraft(relay, step.text, step.tokens, step);
        if (result.empty && step.end === 'stop') return ended(relay, 'end');
      }
    },
  };
}

function ended(relay: Relay, reason: 'end' | 'length' | 'context'): TraceStopReason {
  relay.ledger.end(reason);
  return reason;
}

async function judge(relay: Relay, step: string, by: 'rating' | 'logprob'): Promise<number> {
  if (by === 'logprob') {
    const { tokens } = await scorePiece(relay, relay.answer, step);
    relay.overhead.largeTokens += 1;
    const mean = meanLogprob(tokens);
    return Number.isNaN(mean) ? Infinity : mean;
  }
  return rate(relay, step);
}

const RATE = 'Rate the last step above from 0 (wrong or useless) to 9 (correct and useful). Rating: ';

/**
 * One digit from the large model, as the expectation over the digits where it gives alternatives. No digit at all counts
 * as 0: a model that does not rate does not approve.
 */
async function rate(relay: Relay, step: string): Promise<number> {
  const { large, parts } = relay;
  relay.overhead.requests++;
  let text = '';
  for await (const chunk of large.ask(relay.answer + step, RATE, parts.signal)) {
    text += chunk.text;
    relay.overhead.largeTokens += chunk.tokenIds.length || (chunk.text === '' ? 0 : 1);
    if (chunk.usage) large.otherCost += large.costOf(chunk.usage) ?? 0;
    const digits = (chunk.logprobs?.[0]?.top ?? []).filter((t) => /^\s*[0-9]$/.test(t.text));
    const mass = digits.reduce((sum, t) => sum + Math.exp(t.logprob), 0);
    if (mass > 0) return digits.reduce((sum, t) => sum + Math.exp(t.logprob) * Number(t.text), 0) / mass;
  }
  return /[0-9]/.test(text) ? Number(/[0-9]/.exec(text)![0]) : 0;
}
