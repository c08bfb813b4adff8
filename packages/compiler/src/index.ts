// The compiler's face: Hugging Face checkpoint in, static ONNX graphs and baton.json out, and the pure helpers that every
// host of such graphs needs. Runs in Node and in a browser worker; file access in Node is @baton/compiler/node.
export * from './manifest.ts';
export { compile, COMPILER_VERSION, type CompiledModel } from './compile.ts';
export { CompileError, type CompileErrorCode } from './errors.ts';
export type { CheckpointSource, FileWriter, ModelFiles, ModelSink } from './files.ts';
export { integerProductsAreExact } from './graph/integer-product.ts';
export * from './host/index.ts';
export * from './sources/index.ts';
export { unsupportedByOpenvino } from './openvino/unsupported-operators.ts';
export { verifyModel } from './verify.ts';
export {
  ATTENTIONS,
  BOUNDARIES,
  CACHE_UPDATES,
  LOWERINGS,
  PREFILL_WEIGHTS,
  WEIGHT_TYPES,
  type Attention,
  type Boundary,
  type CacheUpdate,
  type CompileOptions,
  type CompileProgress,
  type Lowering,
  type PrefillWeights,
  type WeightType,
} from './options.ts';
