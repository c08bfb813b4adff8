// The face of the annotate package: spans and tags, alignment of quoted snippets.

export { AnnotateError } from './annotate-error.ts';
export {
  CLOSE_TAG,
  OPEN_TAG,
  characterCoverage,
  insertTags,
  normaliseSpans,
  readTags,
  stripTags,
  taggedTextFault,
} from './spans.ts';
export type { Span } from './spans.ts';
export { TextIndex } from './align/text-index.ts';
export type { LocateOptions, SnippetMatch } from './align/text-index.ts';
export { ANNOTATED_SCHEMA } from './annotated-row.ts';
export type { Annotate, AnnotatedRow, AnnotatedSpan, Annotation } from './annotated-row.ts';
export { modelAnnotator } from './llm/annotate-with-model.ts';
export type { ModelAnnotatorOptions } from './llm/annotate-with-model.ts';
export { annotatorPrompt, readPassages } from './llm/prompt.ts';
export { disagreementAnnotator } from './disagreement/mark-disagreement.ts';
export type { DisagreementOptions, SpanStart } from './disagreement/mark-disagreement.ts';
export type { StepComparison } from './disagreement/same-step.ts';
export { splitSteps } from './disagreement/steps.ts';
export { parseRows } from './dataset/reasoning-row.ts';
export type { ParsedRows, ReasoningRow } from './dataset/reasoning-row.ts';
export { toSftRow } from './dataset/sft.ts';
export type { SftRow } from './dataset/sft.ts';
export { datasetStatistics } from './dataset/statistics.ts';
export type { CountTokens, DatasetStatistics, Distribution } from './dataset/statistics.ts';
