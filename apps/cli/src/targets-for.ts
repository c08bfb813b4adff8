// The set of targets that a target belongs to. OpenVINO's are the bridge's and loaded only where one is asked for: opening
// the fastest of all would compile for minutes where a person typed no target.

import type { TargetId, TargetSet } from '@baton/runtime';

/** An option for openLocal; empty for the targets that the runtime opens itself. */
export async function targetsFor(target: TargetId | 'auto' | undefined): Promise<{ targets?: TargetSet }> {
  if (!target?.startsWith('openvino-')) return {};
  const { bridgeTargets } = await import('@baton/bridge/targets');
  return { targets: bridgeTargets() };
}
