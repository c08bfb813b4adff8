// TEST DOUBLE of openvino-node 2026.4, for machines without OpenVINO's binary: its declarations over onnxruntime-node,
// with the traps that are documented for it. It shows that the adapter keeps to the declarations and survives the traps;
// it says nothing about OpenVINO's numbers or speed. The same suite runs against the real module wherever that loads.
import type {
  AsyncInferQueue,
  CompiledModel,
  Core,
  InferRequest,
  Model,
  NodeAddon,
  Output,
  PartialShape,
  Tensor,
} from 'openvino-node/types/addon.d.ts';
import { DoubleCore, VERSION } from './core.ts';
import { declaredClass } from './face.ts';
import { DoubleCompiledModel, DoubleInferRequest, DoubleOutput } from './model.ts';
import { DoubleAsyncInferQueue } from './queue.ts';
import { DoubleTensor } from './tensor.ts';

function missing(): never {
  throw new Error('the double does not have this part of openvino-node');
}

export const addon: NodeAddon = {
  Core: declaredClass<Core>(DoubleCore),
  CompiledModel: declaredClass<CompiledModel>(DoubleCompiledModel),
  Tensor: declaredClass<Tensor>(DoubleTensor),
  InferRequest: declaredClass<InferRequest>(DoubleInferRequest),
  Output: declaredClass<Output>(DoubleOutput),
  AsyncInferQueue: declaredClass<AsyncInferQueue>(DoubleAsyncInferQueue),
  Model: missing as unknown as Model,
  PartialShape: missing as unknown as PartialShape,
  preprocess: missing as unknown as NodeAddon['preprocess'],
  element: missing as unknown as NodeAddon['element'],
  resizeAlgorithm: missing as unknown as NodeAddon['resizeAlgorithm'],
  saveModelSync: () => {
    throw new Error('the double saves no models');
  },
  getOpenvinoVersion: () => VERSION,
};

export const MODULE = import.meta.filename;
export { play, type DoubleEvent, type DoubleSettings } from './settings.ts';
