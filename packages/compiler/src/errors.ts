// Everything that can be wrong with a checkpoint, an option or a destination, with a code for callers that must tell
// the cases apart. Messages say what, where and what to do in one line.

export type CompileErrorCode =
  /** config.json, an index or a header that is missing, not JSON, or lacks a field. */
  | 'bad-config'
  /** A network that no description covers, or a field that none understands. */
  | 'unsupported'
  /** A safetensors file that is damaged or contradicts itself. */
  | 'bad-checkpoint'
  /** A tensor or shard that should be there. */
  | 'missing'
  | 'bad-option'
  /** The source could not be read: network, permission, hash mismatch. */
  | 'source'
  /** The destination could not be written: disk or quota full, permission. */
  | 'sink';

export class CompileError extends Error {
  override readonly name = 'CompileError';
  readonly code: CompileErrorCode;
  constructor(code: CompileErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
