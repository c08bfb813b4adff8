// OpenVINO's devices as execution targets: which are there, what is missing for the others, and how a model is opened.
import { RuntimeError, type TargetId, type TargetProbe, type TargetSet } from '@baton/runtime';
import { whyNoDevice } from './device-checks.ts';
import { deviceOf, deviceProperty, isOpenvino, OPENVINO_TARGETS } from './device.ts';
import { loadOpenvino, type Openvino } from './load.ts';
import { openOpenvino } from './open.ts';
import type { Progress } from './warm-up.ts';

export interface OpenvinoOptions {
  facts: TargetSet['facts'];
  /** Another implementation of openvino-node's declarations, and the module that exports it as `addon`. */
  addon?: { addon: Openvino; module: string };
  /** Hears of each graph that was compiled: the first start of a model may take minutes. */
  onProgress?: Progress;
}

export function openvinoTargets({ facts, addon: given, onProgress }: OpenvinoOptions): TargetSet {
  const found = given ? { addon: given.addon, reason: 'given' } : loadOpenvino();
  const probe = (target: TargetId): TargetProbe => {
    if (!isOpenvino(target)) return { target, available: false, reason: 'is no OpenVINO target' };
    if (!found.addon) return { target, available: false, reason: found.reason };
    const device = deviceOf(found.addon, target);
    if (device === null) return { target, available: false, reason: whyNoDevice(target) };
    const name = deviceProperty(found.addon, device, 'FULL_DEVICE_NAME') ?? device;
    const driver = ['NPU_DRIVER_VERSION', 'GPU_DRIVER_VERSION']
      .map((property) => deviceProperty(found.addon, device, property))
      .find((version) => version !== null);
    const parts = [found.reason, name, ...(driver === undefined ? [] : [`driver ${driver}`])];
    return { target, available: true, reason: parts.join(', ') };
  };
  return {
    facts,
    // Without the addon none of them; else those whose device is there.
    order: OPENVINO_TARGETS.filter((target) => probe(target).available),
    probe: async (target) => probe(target),
    open: async (target, manifest, files) => {
      const state = probe(target);
      const device = found.addon && isOpenvino(target) ? deviceOf(found.addon, target) : null;
      if (!state.available || !found.addon || !isOpenvino(target) || device === null)
        throw new RuntimeError('target-unavailable', `${target}: ${state.reason}`);
      return openOpenvino({
        addon: found.addon,
        addonModule: given?.module ?? null,
        facts,
        target,
        device,
        manifest,
        files,
        onProgress: onProgress ?? (() => undefined),
      });
    },
  };
}
