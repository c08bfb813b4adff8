// Where a browser gets a model from, and the way from there to a compiled model's files inside the worker.

import { compile, type CompileOptions, type ModelFiles } from '@baton/compiler';
import { MemoryModel } from '../memory-files.ts';
import { urlCheckpoint } from './url-checkpoint.ts';
import { urlFiles } from './url-files.ts';
import type { Progress } from './worker-face.ts';

/** Compiler options that can be sent to a worker. */
export type WireCompileOptions = Omit<CompileOptions, 'signal' | 'onProgress'>;

export type ModelSource =
  /** A compiled model: the address of the folder that holds baton.json. */
  | { kind: 'compiled'; url: string }
  /** A Hugging Face checkpoint: the address of the folder that holds config.json. Compiled here. */
  | { kind: 'checkpoint'; url: string; compile?: WireCompileOptions };

export async function modelFiles(
  source: ModelSource,
  onProgress: (p: Progress) => void,
): Promise<ModelFiles> {
  if (source.kind === 'compiled') {
    onProgress({ stage: 'reading the model' });
    return urlFiles(source.url);
  }
  onProgress({ stage: 'reading the checkpoint' });
  const checkpoint = await urlCheckpoint(source.url);
  const model = new MemoryModel();
  await compile(checkpoint, model, {
    ...source.compile,
    onProgress: ({ done, total }) =>
      onProgress({ stage: 'compiling', fraction: total > 0 ? done / total : 0 }),
  });
  return model;
}
