// What `baton doctor` says about OpenVINO: the runtime, the devices it lists with their drivers, and for those that it does
// not list, what of all they need is missing.
import type { Check, Machine } from './device-checks.ts';
import { deviceChecks, thisMachine } from './device-checks.ts';
import {
  availableDevices,
  deviceOf,
  deviceProperty,
  OPENVINO_TARGETS,
  type OpenvinoTarget,
} from './device.ts';
import { loadOpenvino, type Openvino } from './load.ts';
import { openvinoPackage, runtimeFolder } from './runtime-folder.ts';

export interface OpenvinoReport {
  runtime: { package: string | null; folder: string | null; loads: boolean; reason: string };
  /** Name, full name and versions by device that OpenVINO lists. */
  devices: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** By target whose device is not listed, also before there is a runtime to list it. */
  missing: Readonly<Partial<Record<OpenvinoTarget, readonly Check[]>>>;
}

export function openvinoReport(
  addon: Openvino | null = loadOpenvino().addon,
  machine: Machine = thisMachine(),
): OpenvinoReport {
  const found = openvinoPackage();
  const missing: Partial<Record<OpenvinoTarget, readonly Check[]>> = {};
  for (const target of OPENVINO_TARGETS) {
    if (target !== 'openvino-cpu' && (addon === null || deviceOf(addon, target) === null))
      missing[target] = deviceChecks(target, machine);
  }
  return {
    runtime: {
      package: found?.version ?? null,
      folder: found && runtimeFolder(found),
      loads: addon !== null,
      reason: addon ? `OpenVINO ${addon.getOpenvinoVersion().buildNumber}` : loadOpenvino().reason,
    },
    devices: addon ? Object.fromEntries(availableDevices(addon).map((d) => [d, facts(addon, d)])) : {},
    missing,
  };
}

function facts(addon: Openvino, device: string): Record<string, string> {
  const names = {
    name: 'FULL_DEVICE_NAME',
    architecture: 'DEVICE_ARCHITECTURE',
    driver: device.startsWith('NPU') ? 'NPU_DRIVER_VERSION' : 'GPU_DRIVER_VERSION',
    compiler: 'NPU_COMPILER_VERSION',
  };
  const values = Object.entries(names).map(
    ([key, name]) => [key, deviceProperty(addon, device, name)] as const,
  );
  return Object.fromEntries(
    values.filter(([, value]) => value !== null).map(([key, value]) => [key, String(value)]),
  );
}

/** For people: only what is missing, each with what to do. */
export function reportLines({ devices, missing }: OpenvinoReport): string[] {
  const lines = Object.entries(devices).map(
    ([device, { name, ...rest }]) =>
      `${device}: ${[name, ...Object.entries(rest).map(([k, v]) => `${k} ${v}`)].filter(Boolean).join(', ')}`,
  );
  for (const [target, checks] of Object.entries(missing)) {
    const ill = checks.filter((c) => c.ok !== true);
    lines.push(`${target} needs:${ill.length === 0 ? ' nothing more that can be seen from here' : ''}`);
    for (const { found, fix } of ill) lines.push(`  - ${found}${fix ? `\n    ${fix}` : ''}`);
  }
  return lines;
}
