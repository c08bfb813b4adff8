// The one error class of this package: something in the input, the settings or the output folder is not as it should
// be. The message is one line for a person: what, where, what to do.

export class EvalError extends Error {
  override name = 'EvalError';
}
