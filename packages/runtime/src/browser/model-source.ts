// Where a browser gets a model from, and the way from there to a compiled model's files inside the worker.

import type { ModelFiles } from '@baton/compiler';
import { urlFiles } from './url-files.ts';
import type { Progress } from './worker-face.ts';

export type ModelSource =
  /** A compiled model: the address of the folder that holds baton.json. */
  { kind: 'compiled'; url: string };

export async function modelFiles(
  source: ModelSource,
  onProgress: (p: Progress) => void,
): Promise<ModelFiles> {
  onProgress({ stage: 'reading the model' });
  return urlFiles(source.url);
}
