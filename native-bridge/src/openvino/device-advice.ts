// Why OpenVINO lists no such device here, and what the person can do: drivers, groups, kernel. Reads only what any user
// may read. Facts: Intel's NPU driver and compute-runtime installation pages.
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import type { OpenvinoTarget } from './targets.ts';

/** One line. `root` is the file system's root, for tests. */
export function whyNoDevice(target: OpenvinoTarget, platform = process.platform, root = ''): string {
  if (target === 'openvino-cpu') return 'OpenVINO lists no CPU device; install its runtime again';
  if (platform === 'darwin') return 'OpenVINO has neither NPU nor GPU devices on macOS';
  if (target === 'openvino-npu') return platform === 'win32' ? WINDOWS_NPU : linuxNpu(root);
  return platform === 'win32'
    ? 'no Intel GPU, or its driver is missing (Intel Graphics driver)'
    : linuxGpu(root);
}

const WINDOWS_NPU =
  'no NPU, or its driver is missing: Device Manager must list "Intel(R) AI Boost" under Neural processors (Core Ultra only)';

function linuxNpu(root: string): string {
  const nodes = list(`${root}/dev/accel`).map((name) => `${root}/dev/accel/${name}`);
  if (!existsSync(`${root}/sys/module/intel_vpu`))
    return 'no NPU: the kernel module intel_vpu is not loaded (Core Ultra and Linux 6.8 or newer are needed)';
  if (nodes.length === 0)
    return 'the module intel_vpu is loaded but made no /dev/accel device; see dmesg for its firmware';
  if (!nodes.some(writable))
    return '/dev/accel is there but not yours to use: sudo usermod -aG render $USER, then log in again';
  return 'the NPU is there but not its user-space driver: install intel-level-zero-npu, intel-driver-compiler-npu and the level-zero loader';
}

function linuxGpu(root: string): string {
  const nodes = list(`${root}/dev/dri`).filter((name) => name.startsWith('renderD'));
  if (nodes.length === 0) return 'no GPU: there is no /dev/dri/renderD* device';
  if (!nodes.some((name) => writable(`${root}/dev/dri/${name}`)))
    return 'a GPU is there but not yours to use: sudo usermod -aG render $USER, then log in again';
  return 'a GPU is there but OpenVINO cannot use it: install intel-opencl-icd (Intel GPUs only)';
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function writable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
