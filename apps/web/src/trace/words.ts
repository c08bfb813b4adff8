// The trace's codes in words that a person reads.

import type { SegmentReason, TraceStopReason } from '@baton/split/trace';

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
  aborted: 'stopped by you',
};

export const STOPS: Record<TraceStopReason, string> = {
  end: 'Finished',
  length: 'Ended at the token limit',
  context: 'Ended at the context capacity',
  budget: 'Ended at the budget',
  loop: 'Ended because it repeated itself',
  aborted: 'Stopped by you',
  error: 'Ended by an error',
};

export const AUTHORS = { small: 'Small model', large: 'Large model' } as const;
