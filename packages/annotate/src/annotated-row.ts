// What annotation leaves for one trace: where its spans are and how they came about, or why there are none.

import type { Span } from './spans.ts';

export const ANNOTATED_SCHEMA = 'baton.annotated/1';

export interface AnnotatedSpan extends Span {
  /** How well the annotator's quote matched the text, 1 for an exact copy; absent where spans are not quotes. */
  identity?: number;
}

/** What one method found in one trace. */
export interface Annotation {
  /** Sorted, apart, non-empty. */
  spans: AnnotatedSpan[];
  /** Model calls spent. */
  calls: number;
  /** Things a person should know: quotes that were not found, steps that were skipped. */
  notes: string[];
}

/** Marks one trace. Throws (AnnotateError) where the trace cannot be annotated at all. */
export type Annotate = (
  row: { id: string; question: string; text: string; prompt: string | null },
  signal: AbortSignal,
) => Promise<Annotation>;

export interface AnnotatedRow extends Annotation {
  schema: typeof ANNOTATED_SCHEMA;
  id: string;
  /** SHA-256 of the text, hexadecimal: a changed source is annotated again. */
  sha256: string;
  question: string;
  text: string;
  /** Which method and models made it, e.g. "annotator some-model" or "disagreement demo-small". */
  method: string;
}
