// The runtime's typed error: every failure that a caller may want to tell apart carries one of these codes, and a
// message that says what, where and what to do. A dead backend has its own class (backend.ts).

export type RuntimeErrorCode =
  | 'bad-model' // the compiled model's files do not fit together
  | 'bad-tokenizer' // tokenizer.json is missing something or of an unsupported kind
  | 'bad-input' // a caller's argument
  | 'context-full' // the KV cache cannot take what was asked
  | 'target-unavailable' // the execution target does not exist here
  | 'target-refused' // the target ran and gave wrong numbers, or would not run the whole graph
  | 'store' // the model store: download, quota, hash, lock
  | 'closed';

export class RuntimeError extends Error {
  override readonly name = 'RuntimeError';
  readonly code: RuntimeErrorCode;
  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Throws an AbortError if the signal has been aborted, whatever its reason. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new DOMException('the run was cancelled', 'AbortError');
}

export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** One line of text for anything that was thrown (ONNX Runtime's WASM builds throw bare numbers). */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === 'number' ? `native exception ${error} (usually out of memory)` : String(error);
}
