// The control arm that a learned policy must beat: hands off as often, and for spans as long, as the traces it is matched to,
// but at places drawn by chance. It draws from the run's seed, so a run can be repeated.

import type { Policy } from '@baton/split';
import type { Trace } from '@baton/split/trace';

import { EvalError } from '../eval-error.ts';

export interface MatchedProfile {
  /** Chance of a hand-off at each token of the small model: spans over small tokens, all traces together. */
  handOffRate: number;
  /** Kept tokens of every span; lengths are drawn from them as they are. */
  spanTokens: readonly number[];
}

/** What there is to match. Throws EvalError when no trace has both small tokens and a span that kept something. */
export function matchedProfile(traces: readonly Trace[]): MatchedProfile {
  const segments = traces.flatMap((trace) => trace.segments);
  const spanTokens = segments
    .filter((one) => one.origin === 'large' && one.tokens > 0)
    .map((one) => one.tokens);
  const smallTokens = segments.reduce((sum, one) => sum + (one.origin === 'small' ? one.tokens : 0), 0);
  if (spanTokens.length === 0 || smallTokens === 0) {
    throw new EvalError(
      'random:matched has nothing to match: no run before it hands off; put --policy learned before it',
    );
  }
  return { handOffRate: Math.min(1, spanTokens.length / smallTokens), spanTokens };
}

const NO_TAGS = { open: '', close: '' };

/** Name of the policy that is matched to an arm's traces. */
export function matchedName(arm: string): string {
  return `random:matched to ${arm}`;
}

/** The policy for a profile. The large model failing ends the run as an error, since alone it would match nothing. */
export function matchedRandom(profile: MatchedProfile, arm: string): Policy {
  return {
    name: matchedName(arm),
    needs: { small: true, large: true },
    fixedShare: true,
    async run(relay) {
      const { random } = relay.parts;
      for (;;) {
        if (relay.tokensLeft <= 0) return 'length';
        const stop = await relay.write({
          maxTokens: geometric(profile.handOffRate, random()),
          ban: 'always',
        });
        if (stop.kind === 'failed') return relay.smallFailed(stop.error);
        if (
          stop.kind === 'end' ||
          stop.kind === 'length' ||
          stop.kind === 'context' ||
          stop.kind === 'loop'
        ) {
          relay.ledger.end(stop.kind);
          return stop.kind;
        }
        const admission = relay.admission();
        if (!admission.admitted) {
          relay.ledger.end('rejected', { detail: admission.why });
          continue;
        }
        relay.ledger.end('hand-off');
        const tokens = profile.spanTokens[Math.floor(random() * profile.spanTokens.length)]!;
        const result = await relay.span({
          rule: { kind: 'tokens', tokens },
          maxTokens: Math.min(tokens, admission.maxTokens),
          markers: NO_TAGS,
        });
        if (result.kind === 'final') return 'end';
        if (result.kind === 'small-failed') return relay.smallFailed(result.error);
        if (result.kind === 'large-failed') {
          relay.failLarge(result.error);
          return 'error';
        }
      }
    },
  };
}

/** Tokens until the next event of a process with this rate per token, at least 1 (inverse transform of a uniform draw). */
function geometric(rate: number, uniform: number): number {
  if (rate >= 1) return 1;
  return Math.max(1, Math.ceil(Math.log(1 - uniform) / Math.log(1 - rate)));
}
