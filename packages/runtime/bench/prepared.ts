// Compiled models of random weights for benchmarks, kept in a folder so that a second run starts at once.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { MANIFEST_FILE, type WeightType } from '@baton/compiler';
import { compileDirectory } from '@baton/compiler/node';
import { writeRandomCheckpoint } from './random-checkpoint.ts';
import type { Shape } from './shapes.ts';

export interface Prepared {
  weights: WeightType;
  /** How the graphs update the cache; 'rows' is what every target takes. */
  cacheUpdate?: 'rows' | 'whole';
}

/** The folder below `folder` of the model with 1024 slots; compiled where there is none. */
export async function preparedModel(
  folder: string,
  shape: Shape,
  { weights, cacheUpdate = 'rows' }: Prepared,
): Promise<string> {
  const exists = async (file: string): Promise<boolean> => (await stat(file).catch(() => null)) !== null;
  const checkpoint = path.join(folder, `${shape.name}-checkpoint`);
  const out = path.join(folder, `${shape.name}-${weights}-${cacheUpdate}`);
  if (await exists(path.join(out, MANIFEST_FILE))) return out;
  if (!(await exists(path.join(checkpoint, 'config.json')))) await writeRandomCheckpoint(checkpoint, shape);
  await compileDirectory(checkpoint, out, {
    context: 1024,
    weights,
    // The head is a quarter of the 100m shape's weights; figures for a width are figures for all of it.
    head: weights,
    lowering: weights === 'int4' || weights === 'int8' ? 'fused' : 'portable',
    cacheUpdate,
  });
  return out;
}
