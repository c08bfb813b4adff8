// What an OpenVINO device needs on this machine, looked at piece by piece in the order in which one stands on the other:
// hardware, kernel, driver, rights, libraries. Reads only what any user may read. Sources: the overview and release notes
// of github.com/intel/linux-npu-driver, OpenVINO's "Configurations for Intel NPU" and "... for Intel GPU".
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import type { OpenvinoTarget } from './device.ts';

export interface Check {
  what: string;
  /** null: cannot be seen from here. */
  ok: boolean | null;
  found: string;
  /** What to do; absent where all is well. */
  fix?: string;
}

/** The machine that is looked at; tests give another one. */
export interface Machine {
  platform: NodeJS.Platform;
  /** In front of every path. */
  root: string;
  /** Whether this person may read and write the file. */
  mayUse(file: string): boolean;
  env: NodeJS.ProcessEnv;
}

export function thisMachine(): Machine {
  return { platform: process.platform, root: '', mayUse, env: process.env };
}

/** Every check that can be made, up to the first without which the next have no meaning. Empty for the CPU. */
export function deviceChecks(target: OpenvinoTarget, machine: Machine = thisMachine()): Check[] {
  if (target === 'openvino-cpu') return [];
  const isNpu = target === 'openvino-npu';
  switch (machine.platform) {
    case 'linux':
      return isNpu ? linuxNpu(machine) : linuxGpu(machine);
    case 'win32':
      return isNpu ? windowsNpu(machine) : windowsGpu(machine);
    default:
      return [
        {
          what: 'system',
          ok: false,
          found: `${machine.platform}: OpenVINO reaches Intel’s ${isNpu ? 'NPU' : 'GPU'} on Linux and Windows only`,
          fix: 'use openvino-cpu or ort-cpu here, or the browser’s WebGPU and WebNN',
        },
      ];
  }
}

/** One line: the first thing that is missing, and what to do. */
export function whyNoDevice(target: OpenvinoTarget, machine: Machine = thisMachine()): string {
  if (target === 'openvino-cpu')
    return 'OpenVINO lists no CPU device: its libraries are incomplete; baton-bridge install-runtime --force gets them anew';
  const checks = deviceChecks(target, machine);
  const first = checks.find((c) => c.ok === false) ?? checks.find((c) => c.ok === null);
  if (first) return [first.found, first.fix].filter(Boolean).join('; ');
  return 'all that it needs seems to be there, yet OpenVINO does not list it; a restart after installing drivers may be due';
}

const RELEASES = 'https://github.com/intel/linux-npu-driver/releases';
/** OpenVINO's page for the NPU names 6.6 as the oldest kernel. */
const OLDEST_KERNEL = [6, 6] as const;

function linuxNpu(machine: Machine): Check[] {
  const hardware = onBus(machine, /^0x1200/, 'Intel NPU');
  if (!hardware.ok)
    return [
      {
        ...hardware,
        fix: 'Core Ultra processors have one; where yours is one, look for it in the firmware set-up (BIOS)',
      },
    ];
  const kernel = kernelCheck(machine);
  const module = check(
    'kernel module intel_vpu',
    isThere(machine, '/sys/module/intel_vpu'),
    'is loaded',
    'is not loaded',
    {
      fix: 'sudo modprobe intel_vpu (it is part of the kernel; some distributions have it in a package of extra modules)',
    },
  );
  const node = nodeCheck(machine, '/dev/accel', /^accel\d+$/, 'NPU');
  const firmware = check(
    'firmware',
    names(machine, '/lib/firmware/intel/vpu').some((n) => n.includes('.bin')),
    'in /lib/firmware/intel/vpu',
    'there is none in /lib/firmware/intel/vpu',
    {
      fix: `install intel-fw-npu (${RELEASES}) or linux-firmware, then sudo modprobe -r intel_vpu && sudo modprobe intel_vpu`,
    },
  );
  const missing = (pkg: string): string => `install ${pkg} (${RELEASES})`;
  return [
    hardware,
    kernel,
    module,
    firmware,
    ...node,
    library(
      machine,
      'Level Zero loader',
      ['libze_loader.so.1'],
      'install level-zero (libze1 in Debian and Ubuntu)',
    ),
    library(
      machine,
      'NPU driver',
      ['libze_intel_npu.so', 'libze_intel_vpu.so'],
      missing('intel-level-zero-npu'),
    ),
    library(machine, 'NPU compiler', ['libnpu_driver_compiler.so'], missing('intel-driver-compiler-npu')),
  ];
}

function linuxGpu(machine: Machine): Check[] {
  const hardware = onBus(machine, /^0x03/, 'Intel GPU');
  if (!hardware.ok) return [{ ...hardware, fix: 'OpenVINO’s GPU target is for Intel’s GPUs only' }];
  const icd = names(machine, '/etc/OpenCL/vendors').some((n) => /intel/i.test(n));
  return [
    hardware,
    ...nodeCheck(machine, '/dev/dri', /^renderD\d+$/, 'GPU'),
    library(machine, 'OpenCL loader', ['libOpenCL.so.1'], 'install ocl-icd-libopencl1'),
    check('Intel OpenCL driver', icd, 'in /etc/OpenCL/vendors', 'there is none in /etc/OpenCL/vendors', {
      fix: 'install intel-opencl-icd',
    }),
  ];
}

function windowsNpu(machine: Machine): Check[] {
  return [
    {
      what: 'Intel NPU',
      ok: null,
      found: 'Device Manager must list "Intel(R) AI Boost" under Neural processors',
      fix: 'get the Intel NPU driver, 32.0.100.3104 or newer, from Windows Update or Intel; an NPU without driver is listed under Other devices',
    },
    dll(machine, 'Level Zero loader', 'ze_loader.dll', 'it comes with Intel’s NPU and graphics drivers'),
  ];
}

function windowsGpu(machine: Machine): Check[] {
  return [
    {
      what: 'Intel GPU',
      ok: null,
      found: 'Device Manager must list an Intel graphics device under Display adapters',
      fix: 'get Intel’s graphics driver from Windows Update or Intel',
    },
    dll(machine, 'OpenCL loader', 'OpenCL.dll', 'it comes with Intel’s graphics driver'),
  ];
}

function check(what: string, ok: boolean, well: string, ill: string, { fix }: { fix: string }): Check {
  return ok ? { what, ok, found: `${what} ${well}` } : { what, ok, found: `${what} ${ill}`, fix };
}

function onBus(machine: Machine, pciClass: RegExp, what: string): Check {
  const bus = '/sys/bus/pci/devices';
  const place = names(machine, bus).find(
    (n) =>
      text(machine, `${bus}/${n}/vendor`) === '0x8086' && pciClass.test(text(machine, `${bus}/${n}/class`)),
  );
  if (place === undefined) return { what, ok: false, found: `there is no ${what} on the PCI bus` };
  return { what, ok: true, found: `${what} ${text(machine, `${bus}/${place}/device`)} at ${place}` };
}

function kernelCheck(machine: Machine): Check {
  const release = text(machine, '/proc/sys/kernel/osrelease');
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  const ok = major > OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor >= OLDEST_KERNEL[1]);
  return check('kernel', ok, release, `${release} is too old for the NPU`, {
    fix: `Linux ${OLDEST_KERNEL.join('.')} or newer is needed`,
  });
}

/** Two checks, device file and rights; the second only where there is a file. */
function nodeCheck(machine: Machine, folder: string, pattern: RegExp, device: string): Check[] {
  const files = names(machine, folder)
    .filter((n) => pattern.test(n))
    .map((n) => `${folder}/${n}`);
  if (files.length === 0)
    return [
      {
        what: 'device file',
        ok: false,
        found: `there is no device file for the ${device} in ${folder}`,
        fix: `the kernel says why: sudo dmesg | grep -i ${device === 'NPU' ? 'vpu' : 'i915 or xe'}; in a container, pass ${folder} in`,
      },
    ];
  const exists: Check = { what: 'device file', ok: true, found: files.join(', ') };
  const usable = files.find((file) => machine.mayUse(machine.root + file));
  if (usable !== undefined) return [exists, { what: 'rights', ok: true, found: `${usable} may be used` }];
  return [
    exists,
    {
      what: 'rights',
      ok: false,
      found: `${files[0]} may not be used by you`,
      fix: rightsFix(machine, files[0]!),
    },
  ];
}

/** The group that may use the file, by its own owner; systemd gives it to "render" on most systems. */
function rightsFix(machine: Machine, file: string): string {
  const { gid, mode } = statSync(machine.root + file);
  const entry = text(machine, '/etc/group')
    .split('\n')
    .find((line) => line.split(':')[2] === String(gid));
  const group = entry?.split(':')[0];
  if ((mode & 0o060) === 0o060 && group !== undefined && group !== 'root')
    return `sudo usermod -aG ${group} $USER, then log in again`;
  return `sudo chown root:render ${file} && sudo chmod g+rw ${file}, sudo usermod -aG render $USER, then log in again`;
}

function library(machine: Machine, what: string, wanted: readonly string[], fix: string): Check {
  for (const folder of libraryFolders(machine)) {
    const found = names(machine, folder).find((n) => wanted.some((w) => n.startsWith(w)));
    if (found) return { what, ok: true, found: `${folder}/${found}` };
  }
  return { what, ok: false, found: `${what} (${wanted[0]}) is missing`, fix };
}

function libraryFolders({ env }: Machine): string[] {
  const named = (env.LD_LIBRARY_PATH ?? '').split(':').filter((part) => part !== '');
  const usual = [
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib64',
    '/usr/lib',
    '/lib/x86_64-linux-gnu',
    '/lib64',
    '/lib',
    '/usr/local/lib',
  ];
  // NixOS.
  return [...named, ...usual, '/run/opengl-driver/lib'];
}

function dll(machine: Machine, what: string, name: string, fix: string): Check {
  const folder = `${machine.root === '' ? (machine.env.SystemRoot ?? 'C:/Windows') : `${machine.root}/Windows`}/System32`;
  const ok = list(folder).some((n) => n.toLowerCase() === name.toLowerCase());
  return check(what, ok, `${name} is in System32`, `${name} is not in System32`, { fix });
}

function isThere(machine: Machine, path: string): boolean {
  return statSync(machine.root + path, { throwIfNoEntry: false }) !== undefined;
}

function names(machine: Machine, folder: string): string[] {
  return list(machine.root + folder);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function text(machine: Machine, file: string): string {
  try {
    return readFileSync(machine.root + file, 'utf8').trim();
  } catch {
    return '';
  }
}

function mayUse(file: string): boolean {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
