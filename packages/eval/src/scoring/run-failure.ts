// Whether an error cut a run short, and which: its answer is then not the one that its policy would have given, however
// whole it looks (a small model goes on alone where the large one fails).

import type { Trace } from '@baton/split/trace';

/** What failed, as one line; null for a run that no error touched. */
export function runFailure({ segments, stopReason, notes }: Trace): string | null {
  const failed = segments.find(({ reason }) => reason === 'endpoint-error' || reason === 'small-error');
  if (failed) return `the ${failed.origin} model failed: ${failed.detail ?? 'no reason was given'}`;
  return stopReason === 'error' ? (notes.at(-1) ?? 'no reason was given') : null;
}
