// The paper's policy and its dials: the small model was trained to write the tags, so it decides. The dials change how
// readily, without training anew.

import type { Relay } from '../relay/relay.ts';
import type { Policy } from './policy.ts';
import { triggeredPolicy } from './triggered.ts';
import { risingThreshold } from '../relay/budget.ts';

/** Probability of the close tag from which a span ends even where another token is likelier. */
const CLOSE_THRESHOLD = 0.5;

export interface LearnedOptions {
  /** Hand off wherever the open tag is at least this probable, drawn or not. */
  threshold?: number;
  /** Added to the open tag's logit. */
  bias?: number;
  /** The paper's dial: grant each request with this chance. */
  grant?: number;
  closeThreshold?: number;
}

export function learned(options: LearnedOptions = {}): Policy {
  const { threshold, bias, grant, closeThreshold = CLOSE_THRESHOLD } = options;
  const name =
    threshold !== undefined
      ? `threshold:${threshold}`
      : bias !== undefined
        ? `bias:${bias}`
        : grant !== undefined
          ? `grant:${grant}`
          : 'learned';
  return triggeredPolicy({
    name,
    tags: true,
    ...(bias === undefined ? {} : { openBias: bias }),
    ...(grant === undefined ? {} : { grant }),
    ...(threshold === undefined
      ? {}
      : {
          triggerOnly: true,
          verify: (relay: Relay) => {
            const answer = relay.admission();
            return risingThreshold(threshold, answer.admitted ? answer.pressure : 0);
          },
          trigger: (relay) => (view) => {
            const answer = relay.admission();
            if (!answer.admitted) return 'go';
            const asked = risingThreshold(threshold, answer.pressure);
            return Math.exp(view.token.openLogprob) >= asked ? 'before' : 'go';
          },
        }),
    rule: () => ({ kind: 'controlling-prefill', threshold: closeThreshold }),
  });
}
