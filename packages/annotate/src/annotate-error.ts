// The one error class of this package. The message is one line for a person: what, where, what to do.

export class AnnotateError extends Error {
  override name = 'AnnotateError';
}
