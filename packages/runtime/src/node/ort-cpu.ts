// The ort-cpu target: ONNX Runtime's CPU provider in Node. Weights are mapped from the model's folder where there is
// one, so that the sessions of one model share those pages.

import path from 'node:path';
import { integerProductsAreExact, type Manifest, type ModelFiles } from '@baton/compiler';
import type * as Ort from 'onnxruntime-node';
import type { Backend } from '../backend.ts';
import { RuntimeError, messageOf } from '../errors.ts';
import { OnnxBackend } from '../targets/onnx/backend.ts';
import { halfSession } from './half-session.ts';
import { keepFreedMemory } from './keep-freed-memory.ts';
import { loadOnnxRuntime } from './onnxruntime.ts';

export interface OrtCpuOptions {
  /** Threads inside one operator. Default: ONNX Runtime's own choice, the number of physical cores. */
  threads?: number;
}

/** Of this process's processor; asked for once. */
let exact: Promise<boolean> | undefined;

export async function openOrtCpu(
  manifest: Manifest,
  files: ModelFiles,
  options: OrtCpuOptions = {},
): Promise<Backend> {
  const ort = await loadOnnxRuntime();
  keepFreedMemory();
  if (manifest.lowering === 'integer' && !(await (exact ??= integerProductsAreExact(ort)))) {
    throw new RuntimeError(
      'target-refused',
      `ort-cpu gives wrong numbers for ${manifest.id}: this processor's 8-bit products saturate (it has no VNNI). ` +
        'Compile with the lowering fused, or use wasm-simd',
    );
  }
  const weights = files.directory === undefined ? await files.read(manifest.weightsFile) : null;
  const session: Ort.InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    // Every session has threads of its own that go on spinning behind a run, on the cores that the next one's need.
    extra: { session: { force_spinning_stop: '1' } },
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
    ...(weights ? { externalData: [{ path: manifest.weightsFile, data: weights }] } : {}),
  };
  return OnnxBackend.open(
    {
      target: 'ort-cpu',
      Tensor: ort.Tensor,
      freshResults: true,
      // A padded chunk of 64 costs about 8 decode steps with f32 weights and 2 with int4 (research figures at 100 M).
      chunkFrom: manifest.weights === 'f32' || manifest.weights === 'f16' ? 8 : 3,
      describe: `ONNX Runtime CPU, ${options.threads ?? 'default'} threads`,
      open: async (graph) => {
        try {
          const opened =
            files.directory === undefined
              ? await ort.InferenceSession.create(await files.read(graph.file), session)
              : await ort.InferenceSession.create(path.join(files.directory, graph.file), session);
          return manifest.boundary === 'f16' ? halfSession(opened, ort.Tensor) : opened;
        } catch (error) {
          throw new RuntimeError('bad-model', `ort-cpu cannot open ${graph.file}: ${messageOf(error)}`, {
            cause: error,
          });
        }
      },
    },
    manifest,
    files,
  );
}
