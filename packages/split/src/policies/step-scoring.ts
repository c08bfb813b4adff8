// SpecReason's protocol (arXiv 2504.07891): the small model writes a step, the large one judges it in one pass without
// writing, and rewrites it only where the judgement is poor. Training-free; but the large model reads everything.

import { risingThreshold } from '../relay/budget.ts';
import type { Admission } from '../relay/budget.ts';
import { acceptDraft, writeDraft } from '../relay/draft.ts';
import type { Draft } from '../relay/draft.ts';
import { tokensOf } from '../relay/large-stream.ts';
import { meanLogprob, scorePiece } from '../relay/prompt-scores.ts';
import type { Relay } from '../relay/relay.ts';
import { NO_MARKERS } from '../text/tags.ts';
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

export function stepScoring(options: StepScoringOptions): Policy {
  const { by, threshold, ends = ['\n\n', '\n'], maxStepTokens = 512 } = options;
  return {
    name: `${by === 'rating' ? 'spec-reason' : 'step-score'}:${threshold}`,
    needs: { small: true, large: true },
    mostSpans: Infinity,
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
        let score = Infinity;
        let answer: Admission = { admitted: false, why: '', lasting: false };
        try {
          // Without a budget for the judgement and a rewrite there is nothing to judge for.
          if (step.text !== '' && mayJudge(relay, step.text, by)) {
            score = await judge(relay, step.text, by);
            answer = relay.admission();
          }
        } catch (error) {
          if (relay.parts.signal.aborted) return relay.smallFailed(error);
          if (!(error instanceof EndpointError)) throw error;
          relay.failLarge(error);
        }
        const asked = answer.admitted ? fallingThreshold(threshold, by, answer.pressure) : threshold;
        if (score >= asked || !answer.admitted) {
          acceptDraft(relay, step.text, step.tokens, step);
          if (step.end === 'mark' || (step.end === 'length' && relay.tokensLeft > 0)) continue;
          return ended(relay, step.end === 'stop' ? 'end' : step.end === 'context' ? 'context' : 'length');
        }
        relay.overhead.smallTokens += step.tokens;
        relay.ledger.end('hand-off', {
          detail: `step scored ${score.toFixed(2)}, asked for ${round(asked)}`,
        });
        const result = await relay.span({
          rule: { kind: 'after', ends },
          maxTokens: Math.min(maxStepTokens, answer.maxTokens),
          markers: NO_MARKERS,
        });
        if (result.kind === 'final') return 'end';
        if (result.kind === 'large-failed') return largeGone(relay, result.error);
        if (result.kind === 'small-failed') return relay.smallFailed(result.error);
        // The large model had nothing to say either: the small one's step stands.
        if (result.empty) {
          // It may have been paid for all the same, with tokens that the limit had left for the step.
          const tokens = Math.min(step.tokens, relay.tokensLeft);
          relay.overhead.smallTokens -= tokens;
          acceptDraft(relay, step.text, tokens, step);
        }
        if (result.empty && step.end === 'stop') return ended(relay, 'end');
      }
    },
  };
}

function ended(relay: Relay, reason: 'end' | 'length' | 'context'): TraceStopReason {
  relay.ledger.end(reason);
  return reason;
}

/** Whether the budget holds a judgement and, behind it, a rewrite. */
function mayJudge(relay: Relay, step: string, by: StepScoringOptions['by']): boolean {
  const tokens = by === 'logprob' ? 1 : relay.large.askTokens;
  const { input, perToken } = relay.large.nextCost(relay.answer + step);
  const answer = relay.admission({ cost: input + tokens * perToken });
  return answer.admitted && answer.maxTokens > tokens;
}

/** Near a budget only the worst steps are rewritten: the mark falls as other policies' thresholds rise. */
function fallingThreshold(threshold: number, by: StepScoringOptions['by'], pressure: number): number {
  const left = 1 - risingThreshold(0, pressure);
  return by === 'rating' ? threshold * left : threshold / Math.max(left, 1e-6);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

async function judge(relay: Relay, step: string, by: StepScoringOptions['by']): Promise<number> {
  if (by === 'logprob') {
    const { tokens } = await scorePiece(relay, relay.answer, step);
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
  let expected: number | null = null;
  for await (const chunk of large.ask(relay.answer + step, RATE, parts.signal)) {
    text += chunk.text;
    relay.overhead.largeTokens += tokensOf(chunk);
    const digits = (chunk.logprobs?.[0]?.top ?? []).filter((t) => /^\s*[0-9]$/.test(t.text));
    const mass = digits.reduce((sum, t) => sum + Math.exp(t.logprob), 0);
    if (mass > 0)
      expected ??= digits.reduce((sum, t) => sum + Math.exp(t.logprob) * Number(t.text), 0) / mass;
  }
  if (expected !== null) return expected;
  return /[0-9]/.test(text) ? Number(/[0-9]/.exec(text)![0]) : 0;
}
