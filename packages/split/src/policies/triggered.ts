// The family that most policies belong to: the small model writes; something asks for the large model (its own tag, a
// probability, the look of the text); the span ends by a rule; the small model goes on.

import { restOfTag } from '../relay/hand-back.ts';
import type { HandBackRule } from '../relay/hand-back.ts';
import { risingThreshold } from '../relay/budget.ts';
import type { Relay } from '../relay/relay.ts';
import type { SmallStop, Trigger } from '../relay/write-small.ts';
import { SplitError, messageOf } from '../split-error.ts';
import { NO_MARKERS } from '../text/tags.ts';
import type { TraceStopReason } from '../trace.ts';
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
  /**
   * The trigger asked because the tag's first token was this probable. Where that token begins other text too, the whole tag is
   * verified before it counts.
   */
  verify?: (relay: Relay) => number;
  rule: (relay: Relay) => HandBackRule;
  /** The chance that a request is granted, drawn from the run's seed. */
  grant?: number;
}

export function triggeredPolicy(settings: TriggerSettings): Policy {
  return { name: settings.name, needs: { small: true, large: true }, run: (relay) => run(relay, settings) };
}

async function run(relay: Relay, settings: TriggerSettings): Promise<TraceStopReason> {
  const { tags } = relay.parts;
  const markers = settings.tags ? tags : NO_MARKERS;
  if (settings.openBias !== undefined && relay.small.open.single === null)
    throw new SplitError(
      'unsuitable-model',
      `${settings.name}: ${relay.small.model.id} writes its tag in several tokens, and a bias on the first would favour other text too; use threshold:P`,
    );
  const trigger = settings.trigger?.(relay);
  let rejected = false;
  /** The trigger asked in vain where no tag was; the text there is the model's to write. */
  let mistaken = false;
  let helpedLoop = false;
  for (;;) {
    if (relay.largeFailed !== null) return finishAlone(relay);
    const closed = relay.closedWhy !== null;
    const stop = await relay.write({
      ban: banOf(relay, !settings.tags || settings.triggerOnly === true || closed, rejected),
      // Right after a refusal the trigger would only ask for the same again.
      ...(trigger && !closed ? { trigger: rejected || mistaken ? afterFirst(trigger) : trigger } : {}),
      ...(settings.entropy ? { entropy: true } : {}),
      ...(settings.openBias === undefined ? {} : { openBias: settings.openBias }),
    });
    rejected = false;
    mistaken = false;
    if (stop.kind === 'failed') return relay.smallFailed(stop.error);
    const loop = stop.kind === 'loop';
    if (stop.kind !== 'hand-off' && !(loop && !helpedLoop)) {
      if (stop.kind === 'pause' || stop.kind === 'text' || stop.kind === 'step') continue;
      return endSmall(relay, stop.kind);
    }
    if (loop) helpedLoop = true;
    if (stop.kind === 'hand-off' && stop.triggered && !(await isWholeTag(relay, settings, stop.logprob))) {
      mistaken = true;
      continue;
    }
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

/** A tag of several tokens cannot be banned for good; right after it was refused, its first token is. */
function banOf(relay: Relay, unwanted: boolean, rejected: boolean): 'always' | 'first' | 'never' {
  if (!unwanted) return rejected ? 'first' : 'never';
  return rejected && relay.small.open.single === null ? 'first' : 'always';
}

/** Whether the open tag as a whole is as probable as the policy asks; its first token alone may begin "< 3". */
async function isWholeTag(relay: Relay, settings: TriggerSettings, firstLogprob: number): Promise<boolean> {
  const { small, parts } = relay;
  if (!settings.verify || small.open.single !== null) return true;
  const rest = await restOfTag(small, small.open, relay.smallText, small.open.full[0]!, parts.signal);
  return Math.exp(firstLogprob + rest) >= settings.verify(relay);
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
  relay.ledger.note(`the small model stopped: ${messageOf(error)}`);
  return 'error';
}
