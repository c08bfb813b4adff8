// OpenVINO's devices as execution targets: which are there, what is missing for the others, and how a model is opened.
import { RuntimeError, type TargetId, type TargetProbe, type TargetSet } from '@baton/runtime';
import { whyNoDevice } from './device-advice.ts';
import { loadOpenvino, type Openvino } from './load.ts';
import { openOpenvino } from './open.ts';

export const OPENVINO_TARGETS = [
  'openvino-npu',
  'openvino-gpu',
  'openvino-cpu',
] as const satisfies readonly TargetId[];
export type OpenvinoTarget = (typeof OPENVINO_TARGETS)[number];

/** `addon`: another implementation of openvino-node's declarations; the package itself where absent. */
export function openvinoTargets(facts: TargetSet['facts'], addon?: Openvino): TargetSet {
  const found = addon ? { addon, reason: 'given' } : loadOpenvino();
  const probe = (target: TargetId): TargetProbe => {
    if (!isOpenvino(target)) return { target, available: false, reason: 'is no OpenVINO target' };
    if (!found.addon) return { target, available: false, reason: found.reason };
    const device = deviceOf(found.addon, target);
    if (device === null) return { target, available: false, reason: whyNoDevice(target) };
    return { target, available: true, reason: `${found.reason}, ${describe(found.addon, device)}` };
  };
  return {
    facts,
    order: found.addon ? OPENVINO_TARGETS : [],
    probe: async (target) => probe(target),
    open: async (target, manifest, files) => {
      const state = probe(target);
      if (!state.available || !found.addon || !isOpenvino(target))
        throw new RuntimeError('target-unavailable', `${target}: ${state.reason}`);
      return openOpenvino(found.addon, target, deviceOf(found.addon, target)!, manifest, files);
    },
  };
}

function isOpenvino(target: TargetId): target is OpenvinoTarget {
  return (OPENVINO_TARGETS as readonly TargetId[]).includes(target);
}

/** The device's name, e.g. "GPU" or "GPU.0" where there are several: then the first, which is the integrated one. */
function deviceOf(addon: Openvino, target: OpenvinoTarget): string | null {
  const kind = target.slice('openvino-'.length).toUpperCase();
  const core = new addon.Core();
  return core.getAvailableDevices().find((d) => d === kind || d.startsWith(`${kind}.`)) ?? null;
}

function describe(addon: Openvino, device: string): string {
  try {
    return String(new addon.Core().getProperty(device, 'FULL_DEVICE_NAME'));
  } catch {
    return device;
  }
}
