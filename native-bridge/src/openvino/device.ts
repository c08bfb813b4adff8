// OpenVINO's devices by the names that its core gives them, and what they say about themselves.
import type { TargetId } from '@baton/runtime';
import type { OVAny } from 'openvino-node/types/addon.d.ts';
import type { Openvino } from './load.ts';

export const OPENVINO_TARGETS = [
  'openvino-npu',
  'openvino-gpu',
  'openvino-cpu',
] as const satisfies readonly TargetId[];
export type OpenvinoTarget = (typeof OPENVINO_TARGETS)[number];

export function isOpenvino(target: TargetId): target is OpenvinoTarget {
  return (OPENVINO_TARGETS as readonly TargetId[]).includes(target);
}

export function availableDevices(addon: Openvino): string[] {
  return new addon.Core().getAvailableDevices();
}

/** The device's name, e.g. "GPU" or "GPU.0" where there are several: then the first, which is the integrated one. */
export function deviceOf(addon: Openvino, target: OpenvinoTarget): string | null {
  const kind = target.slice('openvino-'.length).toUpperCase();
  return availableDevices(addon).find((d) => d === kind || d.startsWith(`${kind}.`)) ?? null;
}

/** A property that the device does not have counts as null. */
export function deviceProperty(addon: Openvino, device: string, name: string): OVAny | null {
  try {
    return new addon.Core().getProperty(device, name) ?? null;
  } catch {
    return null;
  }
}
