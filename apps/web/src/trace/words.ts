// The trace's codes in words that a person reads.

import type { SegmentReason, Trace, TraceStopReason } from '@baton/split/trace';
import { UNFINISHED } from './notes.ts';

export const REASONS: Record<SegmentReason, string> = {
  'hand-off': 'handed to the large model',
  'hand-back': 'handed back to the small model',
  end: 'end of the text',
  'span-limit': 'longest span reached',
  length: 'token limit reached',
  context: 'context capacity reached',
  budget: 'offload budget reached',
  rejected: 'the request was declined',
  loop: 'it repeated itself',
  'endpoint-error': 'the large model failed',
  'small-error': 'the small model failed',
  aborted: 'the run was stopped',
};

const STOPS: Record<TraceStopReason, string> = {
  end: 'Finished',
  length: 'Ended at the token limit',
  context: 'Ended at the context capacity',
  budget: 'Ended at the budget',
  loop: 'Ended because it repeated itself',
  aborted: 'Stopped by you',
  error: 'Ended by an error',
};

/** How a run ended. */
export function endOf({ stopReason, notes }: Pick<Trace, 'stopReason' | 'notes'>): string {
  return notes.includes(UNFINISHED) ? 'Unfinished' : STOPS[stopReason];
}

export const AUTHORS = { small: 'Small model', large: 'Large model' } as const;
