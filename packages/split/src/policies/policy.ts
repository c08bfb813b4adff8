// What a policy is: a procedure that drives one relay to its end. Everything else (budgets, accounting, faults,
// deadlines) is the relay's, so that policies can be compared.

import type { Relay } from '../relay/relay.ts';
import { isFull, takeOver } from '../relay/take-over.ts';
import type { TraceStopReason } from '../trace.ts';

export interface Policy {
  /** As it stands in the trace, parameters included. */
  readonly name: string;
  /** Models it cannot do without. */
  readonly needs: { small: boolean; large: boolean };
  /** Spans that it may have where the budget does not say. Default 64, which stops a small model that keeps asking. */
  readonly mostSpans?: number;
  /** Its share of the large model is its definition: the run ends where the small model's context does. */
  readonly fixedShare?: boolean;
  /** Ends every segment it began. */
  run(relay: Relay): Promise<TraceStopReason>;
}

/** Runs a policy to its end, which a small model without room is not: the large model then goes on alone. */
export async function runPolicy(policy: Policy, relay: Relay): Promise<TraceStopReason> {
  let stop: TraceStopReason;
  try {
    stop = await policy.run(relay);
  } catch (error) {
    if (!isFull(error)) throw error;
    stop = relay.smallFailed(error);
  }
  const mayGoOn = stop === 'context' && policy.needs.large && policy.fixedShare !== true;
  return mayGoOn ? takeOver(relay) : stop;
}
