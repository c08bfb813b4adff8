// Baton as an application uses it: a model in a worker, from the browser's store.
import type { TargetId } from '../../../src/backend.ts';
import { openWorkerModel, probeTargets } from '../../../src/browser/index.ts';
import { isEmulated } from '../../emulated-gpu.ts';
import { modelTurn } from '../model-turn.ts';
import type { Runner } from '../turn.ts';
import type { Served } from './main.ts';

export async function openBaton(target: TargetId, { url }: Served): Promise<Runner> {
  if (target === 'webgpu') await requireGpu();
  const model = await openWorkerModel({ kind: 'compiled', url }, { target, fallback: false });
  return {
    description: model.description,
    turn: (turn) => modelTurn(model, turn),
    close: () => model.close(),
  };
}

async function requireGpu(): Promise<void> {
  const probe = (await probeTargets()).find(({ target }) => target === 'webgpu')!;
  if (!probe.available) throw new Error(probe.reason);
  if (isEmulated(probe.reason)) throw new Error(`${probe.reason} emulates a GPU on the CPU`);
}
