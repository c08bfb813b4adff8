// What a policy is: a procedure that drives one relay to its end. Everything else (budgets, accounting, faults,
// deadlines) is the relay's, so that policies can be compared.

import type { Relay } from '../relay/relay.ts';
import type { TraceStopReason } from '../trace.ts';

export interface Policy {
  /** As it stands in the trace, parameters included. */
  readonly name: string;
  /** Models it cannot do without. */
  readonly needs: { small: boolean; large: boolean };
  /** Spans that it may have where the budget does not say. Default 64, which stops a small model that keeps asking. */
  readonly mostSpans?: number;
  /** Ends every segment it began. */
  run(relay: Relay): Promise<TraceStopReason>;
}
