// The outer gate: before the first token, a question may be sent to one model alone (RouteLLM's idea, arXiv 2406.18665,
// with what is at hand locally).

import type { WatchedPosition } from '@baton/runtime/text-model';

import { smallAlone } from './alone.ts';
import { runPolicy } from './policy.ts';
import type { Policy } from './policy.ts';
import type { Relay } from '../relay/relay.ts';
import { isFull } from '../relay/take-over.ts';

/** Null: go on with the policy. */
export type Gate = (question: string, relay: Relay) => Promise<{ policy: Policy; note: string } | null>;

/** `inner`, behind a gate: a policy of its own, so that it can be compared like any other. */
export function gated(name: string, gate: Gate, inner: Policy): Policy {
  return {
    name,
    // The gate is the small model's, also in front of the large one alone.
    needs: { ...inner.needs, small: true },
    ...(inner.mostSpans === undefined ? {} : { mostSpans: inner.mostSpans }),
    async run(relay) {
      const answer = await gate(relay.parts.question, relay);
      if (answer) relay.ledger.note(answer.note);
      return runPolicy(answer?.policy ?? inner, relay);
    },
  };
}

/**
 * Easy questions go to the small model alone: those that it finds predictable. Measured as the mean log-probability, per
 * token, that the small model gives the question itself; at or above `meanLogprob` the question is easy. The pass costs
 * nothing that the run would not do anyway: the prompt stays in the cache.
 */
export function perplexityGate(meanLogprob: number): Gate {
  return async (_question, relay) => {
    if (!relay.parts.small) return null;
    const { small, prompt, signal } = relay.parts;
    const ids = await small.encode(prompt);
    let watched: readonly WatchedPosition[];
    try {
      ({ watched } = await small.sync(prompt, [...new Set(ids)], signal));
    } catch (error) {
      // A question that is too long for it is not easy.
      if (isFull(error)) return null;
      throw error;
    }
    const unique = [...new Set(ids)];
    // Position i predicts token i + 1 of the prompt.
    const scores = watched.slice(0, -1).flatMap((row, i) => {
      const next = ids[ids.length - watched.length + i + 1];
      const at = next === undefined ? -1 : unique.indexOf(next);
      return at < 0 ? [] : [row.logprobs[at]!];
    });
    if (scores.length === 0) return null;
    const mean = scores.reduce((sum, x) => sum + x, 0) / scores.length;
    if (mean < meanLogprob) return null;
    return {
      policy: smallAlone,
      note: `gate: small only (mean log-probability of the question ${mean.toFixed(2)} >= ${meanLogprob})`,
    };
  };
}
