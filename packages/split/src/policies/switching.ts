// Policies that need no tags and no training: chance, uncertainty, the look of the text.

import { risingThreshold } from '../relay/budget.ts';
import type { Relay } from '../relay/relay.ts';
import { NO_MARKERS } from '../text/tags.ts';
import type { TraceStopReason } from '../trace.ts';
import { endSmall, finishAlone, largeGone } from './alone.ts';
import type { Policy } from './policy.ts';
import { triggeredPolicy } from './triggered.ts';

/** SplitReason's baseline: of every `chunk` tokens, the large model writes with chance `ratio`. */
export function randomSwitch(ratio: number, chunk = 32): Policy {
  return {
    name: `random:${ratio}${chunk === 32 ? '' : `:${chunk}`}`,
    needs: { small: true, large: true },
    // Its share is what it was asked for.
    mostSpans: Infinity,
    fixedShare: true,
    async run(relay: Relay): Promise<TraceStopReason> {
      // A tag of several tokens cannot be banned outright; once it was written, its first token is, or it would come again.
      let declined = false;
      for (;;) {
        if (relay.largeFailed !== null) return finishAlone(relay);
        if (relay.tokensLeft <= 0) return 'length';
        if (relay.parts.random() < ratio) {
          const answer = relay.admission();
          if (answer.admitted) {
            relay.ledger.end('hand-off');
            const maxTokens = Math.min(chunk, answer.maxTokens);
            const result = await relay.span({
              rule: { kind: 'tokens', tokens: chunk },
              maxTokens,
              markers: NO_MARKERS,
              endIsFinal: true,
            });
            if (result.kind === 'final') return 'end';
            if (result.kind === 'large-failed') return largeGone(relay, result.error);
            if (result.kind === 'small-failed') return relay.smallFailed(result.error);
            continue;
          }
          if (relay.ledger.current) relay.ledger.end('rejected', { detail: answer.why });
        }
        const stop = await relay.write({ maxTokens: chunk, ban: declined ? 'first' : 'always' });
        if (stop.kind === 'failed') return relay.smallFailed(stop.error);
        declined = stop.kind === 'hand-off';
        if (stop.kind === 'pause' || stop.kind === 'hand-off' || stop.kind === 'text' || stop.kind === 'step')
          continue;
        return endSmall(relay, stop.kind);
      }
    },
  };
}

/** Where a step ends: a blank line, or in traces of one step per line a line end. */
const STEP_ENDS = ['\n\n', '\n'] as const;

export interface StepOptions {
  /** What ends a step. Default: any line end. */
  ends?: readonly string[];
}

/**
 * The large model writes a step whose first token the small model is uncertain about: entropy in nats of at least `nats`
 * (GlimpRouter, arXiv 2601.05110).
 */
export function entropyAtSteps(nats: number, options: StepOptions = {}): Policy {
  const ends = options.ends ?? STEP_ENDS;
  return triggeredPolicy({
    name: `entropy:${nats}`,
    tags: false,
    entropy: true,
    trigger: (relay) => (view) => {
      if (!atStepStart(relay, view.answer, ends) || view.token.text.trim() === '') return 'go';
      const answer = relay.admission();
      const pressure = answer.admitted ? answer.pressure : 0;
      // Entropy has no upper end of 1; pressure scales what is asked of it.
      return view.token.entropy >= nats / (1 - 0.9 * risingThreshold(0, pressure)) ? 'before' : 'go';
    },
    rule: () => ({ kind: 'after', ends }),
  });
}

function atStepStart(relay: Relay, answer: string, ends: readonly string[]): boolean {
  const text = relay.parts.prompt + answer;
  return ends.some((end) => text.endsWith(end));
}

/** Words that a model reflects, verifies or doubts with (after Speculative Thinking, arXiv 2504.12329). */
const CUES = [
  'wait',
  'hmm',
  'alternatively',
  'however',
  'but wait',
  'let me check',
  'let me verify',
  'verify',
  'actually',
];

/** Training-free: after a blank line and a cue, the large model takes the step. */
export function stepCues(options: { cues?: readonly string[]; ends?: readonly string[] } = {}): Policy {
  const cues = (options.cues ?? CUES).map((cue) => cue.toLowerCase());
  const ends = options.ends ?? ['\n\n'];
  return triggeredPolicy({
    name: 'cues',
    tags: false,
    trigger: () => (view) => {
      const text = view.answer + view.token.text;
      const at = Math.max(
        ...ends.map((end) => (text.lastIndexOf(end) < 0 ? -1 : text.lastIndexOf(end) + end.length)),
      );
      if (at < 0) return 'go';
      const step = text.slice(at).trimStart().toLowerCase();
      // The cue is whole once something that is no letter follows it; the large model goes on behind that.
      return cues.some((cue) => step.startsWith(cue) && /^[^\p{L}]+$/u.test(step.slice(cue.length)))
        ? 'after'
        : 'go';
    },
    rule: () => ({ kind: 'after', ends }),
  });
}
