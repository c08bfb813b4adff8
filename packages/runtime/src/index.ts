// The runtime's face, free of Node and of the browser: those have faces of their own (./node, ./browser).
export * from './text-model.ts';
export {
  BackendLostError,
  TARGETS,
  type Backend,
  type ForwardResult,
  type Sequence,
  type TargetId,
  type Wanted,
  type WatchedRow,
} from './backend.ts';
export { Decoder, type DecoderOptions, type IngestResult } from './decoder.ts';
export { RuntimeError, type RuntimeErrorCode } from './errors.ts';
export { LocalModel } from './local-model.ts';
export { openModel, type OpenModelOptions } from './open-model.ts';
export { Sampler } from './sampling/sampler.ts';
export { scoreTokens, type ScoredToken } from './score.ts';
export { LocalSession, commonPrefix, type SessionChunk } from './session.ts';
export { OnnxBackend, type OnnxHost } from './targets/onnx/backend.ts';
export type { TargetProbe, TargetSet } from './targets/target-set.ts';
export { StopStrings } from './text/stop-strings.ts';
export { ChatTemplate } from './text/chat-template.ts';
export { loadText } from './text/load-tokenizer.ts';
export { Tokenizer } from './text/tokenizer.ts';
