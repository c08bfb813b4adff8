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
