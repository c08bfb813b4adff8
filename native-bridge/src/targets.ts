// The bridge's targets: OpenVINO's devices where its binary loads, and what the runtime opens in Node anyway.
import { RuntimeError, type TargetSet } from '@baton/runtime';
import { nodeTargets } from '@baton/runtime/node';
import { openvinoTargets } from './openvino/targets.ts';

export function bridgeTargets(): TargetSet {
  const node = nodeTargets();
  const openvino = openvinoTargets(node.facts);
  return {
    facts: node.facts,
    order: [...openvino.order, ...node.order],
    probe: (target) => (target.startsWith('openvino-') ? openvino : node).probe(target),
    open: (target, manifest, files) => {
      const set = [openvino, node].find((s) => s.order.includes(target));
      if (!set) throw new RuntimeError('target-unavailable', `${target} needs a browser; this is Node`);
      return set.open(target, manifest, files);
    },
  };
}
