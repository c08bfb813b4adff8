// Opens a compiled model on one OpenVINO device: compiled through the cache chunk by chunk, tested against the CPU, bound.
import type { Backend } from '@baton/runtime';
import type { Manifest, ModelFiles } from '@baton/compiler';
import type { Openvino } from './load.ts';
import type { OpenvinoTarget } from './targets.ts';

export async function openOpenvino(
  addon: Openvino,
  target: OpenvinoTarget,
  device: string,
  manifest: Manifest,
  files: ModelFiles,
): Promise<Backend> {
  throw new Error(`${target} ${device} ${manifest.id} ${files.directory} ${typeof addon}`);
}
