// The family that most policies belong to: the small model writes; something asks for the large model (its own tag, a
// probability, the look of the text); the span ends by a rule; the small model goes on.

import type { HandBackRule } from '../relay/hand-back.ts';
import { risingThreshold } from '../relay/budget.ts';
import type { Relay } from '../relay/relay.ts';
import type { SmallStop, Trigger } from '../relay/write-small.ts';
import type { SegmentReason, TraceStopReason } from '../trace.ts';
import { endSmall, finishAlone, largeGone } from './alone.ts';
import type { Policy } from './policy.ts';

export interface TriggerSettings {
  name: string;
  /** The small model knows the tags: it may write the open tag, and reads spans between tags. */
  tags: boolean;
  /** A fresh trigger for each run; it may keep state. */
  trigger?: (relay: Relay) => Trigger;
  /** The trigger reads entropy. */
  entropy?: boolean;
  openBias?: number;
  /** Only the trigger hands off: a tag that the model would draw by itself is banned. */
  triggerOnly?: boolean;
  rule: (relay: Relay) => HandBackRule;
  /** The chance that a request is granted, drawn from the run's seed. */
  grant?: number;
}

export function triggeredPolicy(settings: TriggerSettings): Policy {
  return { name: settings.name, needs: { small: true, large: true }, run: (relay) => run(relay, settings) };
}

async function run(relay: Relay, settings: TriggerSettings): Promise<TraceStopReason> {
  const { tags } = relay.parts;
  const markers = settings.tags ? tags : { open: '', close: '' };
  const trigger = settings.trigger?.(relay);
  let rejected = false;
  let helpedLoop = false;
  for (;;) {
    if (relay.largeFailed !== null) return finishAlone(relay);
    const closed = relay.closedWhy !== null;
    const stop = await relay.write({
      ban: !settings.tags || settings.triggerOnly || closed ? 'always' : rejected ? 'first' : 'never',
      // Right after a refusal the trigger would only ask for the same again.
      ...(trigger && !closed ? { trigger: rejected ? afterFirst(trigger) : trigger } : {}),
      ...(settings.entropy ? { entropy: true } : {}),
      ...(settings.openBias === undefined ? {} : { openBias: settings.openBias }),
    });
    rejected = false;
    if (stop.kind === 'failed') return relay.smallFailed(stop.error);
    const loop = stop.kind === 'loop';
    if (stop.kind !== 'hand-off' && !(loop && !helpedLoop)) {
      if (stop.kind === 'pause' || stop.kind === 'text' || stop.kind === 'step') continue;
      return endSmall(relay, stop.kind);
    }
    if (loop) helpedLoop = true;
    const refusal = refuse(relay, settings, stop);
    if (typeof refusal === 'string') {
      if (stop.kind === 'hand-off' && stop.early) relay.dropEarly(stop.early);
      if (loop) return endSmall(relay, 'loop');
      relay.ledger.end('rejected', { detail: refusal, ...logprobOf(stop) });
      rejected = true;
      continue;
    }
    relay.ledger.end(loop ? 'loop' : 'hand-off', logprobOf(stop));
    const result = await relay.span({
      rule: settings.rule(relay),
      maxTokens: refusal.maxTokens,
      markers,
      stream: stop.kind === 'hand-off' ? stop.early : null,
    });
    if (result.kind === 'final') return 'end';
    if (result.kind === 'large-failed') return largeGone(relay, result.error);
    if (result.kind === 'small-failed') return afterSmallFailure(relay, result.error);
    if (relay.tokensLeft <= 0) return 'length';
    // A span with nothing in it must not be asked for again at once.
    rejected = result.empty;
  }
}

function logprobOf(stop: SmallStop): { decisionLogprob?: number } {
  return stop.kind === 'hand-off' && Number.isFinite(stop.logprob) ? { decisionLogprob: stop.logprob } : {};
}

function afterFirst(trigger: Trigger): Trigger {
  return (view) => (view.index === 0 ? 'go' : trigger(view));
}

/** Tokens the span may have, or why the request is declined. */
function refuse(relay: Relay, settings: TriggerSettings, stop: SmallStop): { maxTokens: number } | string {
  const answer = relay.admission();
  if (!answer.admitted) return answer.why;
  // Near a budget, a tag that the model was half-hearted about is not enough.
  if (settings.tags && stop.kind === 'hand-off') {
    const asked = risingThreshold(0, answer.pressure);
    const probability = Math.exp(stop.logprob);
    if (probability < asked)
      return `near a budget: tag probability ${probability.toFixed(3)} is below ${asked.toFixed(3)}`;
  }
  if (settings.grant !== undefined && relay.parts.random() >= settings.grant)
    return `declined at random (grants ${settings.grant})`;
  return answer;
}

/** The span has recorded the failure; what is left is to say how the run ends. */
function afterSmallFailure(relay: Relay, error: unknown): TraceStopReason {
  if (relay.parts.signal.aborted) return relay.stopReason();
  const last = relay.ledger.segments.at(-1)?.reason as SegmentReason;
  relay.ledger.note(`the small model stopped: ${error instanceof Error ? error.message : String(error)}`);
  return last === 'context' ? 'context' : 'error';
}
