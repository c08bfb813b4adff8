// ONNX Runtime's Node binding, loaded when it is needed: a machine without its native library still lists its targets.
import type * as Ort from 'onnxruntime-node';

/**
 * Version 1.30 keeps a record of every session that it creates, with an id of the machine and the program's path, for upload; it
 * asks for this variable when it is loaded. A program that sets it itself decides.
 */
export async function loadOnnxRuntime(): Promise<typeof Ort> {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  return import('onnxruntime-node');
}
