// The Node face of the annotate package: whole files.

export { annotateFile } from './annotate-file.ts';
export type { AnnotateFileOptions, AnnotateFileResult, RejectedRow } from './annotate-file.ts';
