// The bridge's targets: OpenVINO's devices where its binary loads, and what the runtime opens in Node anyway.
import type { TargetSet } from '@baton/runtime';
import { nodeTargets } from '@baton/runtime/node';
import { openvinoTargets, type OpenvinoOptions } from './openvino/targets.ts';

/** Compiling for a device may take minutes the first time; `onProgress` hears of each graph. Default: stderr. */
export function bridgeTargets(options: Pick<OpenvinoOptions, 'addon' | 'onProgress'> = {}): TargetSet {
  const node = nodeTargets();
  const openvino = openvinoTargets({
    facts: node.facts,
    onProgress: (line) => process.stderr.write(`${line}\n`),
    ...options,
  });
  return {
    facts: node.facts,
    order: [...openvino.order, ...node.order],
    probe: (target) => (target.startsWith('openvino-') ? openvino : node).probe(target),
    open: (target, manifest, files) =>
      (target.startsWith('openvino-') ? openvino : node).open(target, manifest, files),
  };
}
