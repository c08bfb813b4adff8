// Opens a model in Node by what a person types: a compiled directory, a checkpoint directory (compiled on first use and
// kept), or the name of a demo model in the repository.

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CompileOptions } from '@baton/compiler';
import { DirectoryFiles } from '@baton/compiler/node';
import type { TargetId } from '../backend.ts';
import { RuntimeError } from '../errors.ts';
import type { LocalModel } from '../local-model.ts';
import { openModel, type OpenModelOptions } from '../open-model.ts';
import type { TargetSet } from '../targets/target-set.ts';
import { compiledDirectory, isModel } from './compile-cache.ts';
import { nodeTargets } from './targets.ts';

export const DEMO_MODELS: readonly string[] = ['demo-small', 'demo-large'];

export interface OpenLocalOptions extends Omit<OpenModelOptions, 'targets' | 'target'> {
  /** As openModel's. */
  target?: TargetId | 'auto' | undefined;
  /** Default: what this package opens in Node (ort-cpu). */
  targets?: TargetSet;
  /** For a checkpoint directory. */
  compile?: CompileOptions;
}

/** Opens `model`. Throws RuntimeError with one line that says what is wrong with it. */
export async function openLocal(model: string, options: OpenLocalOptions = {}): Promise<LocalModel> {
  const { compile, targets = nodeTargets(), ...rest } = options;
  return openModel(new DirectoryFiles(await resolveModel(model, compile)), { ...rest, targets });
}

/** The compiled directory that `model` means; compiles a checkpoint that has not been. */
export async function resolveModel(model: string, compile: CompileOptions = {}): Promise<string> {
  const directory = DEMO_MODELS.includes(model) ? demoDirectory(model) : path.resolve(model);
  const info = await stat(directory).catch(() => null);
  if (!info?.isDirectory()) {
    throw new RuntimeError(
      'bad-input',
      `no model at ${model}: give a compiled directory, a checkpoint directory, or ${DEMO_MODELS.join(' / ')}`,
    );
  }
  if (await isModel(directory)) return directory;
  if (await stat(path.join(directory, 'config.json')).catch(() => null))
    return compiledDirectory(directory, compile);
  throw new RuntimeError(
    'bad-input',
    `${model} holds neither baton.json (a compiled model) nor config.json (a checkpoint)`,
  );
}

/** models/NAME in the repository. */
function demoDirectory(name: string): string {
  return fileURLToPath(new URL(`../../../../models/${name}`, import.meta.url));
}
