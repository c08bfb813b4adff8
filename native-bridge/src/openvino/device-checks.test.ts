// What doctor says about a machine, on machines made of files: each lacks one thing, and hears of that and what to do.
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addon, play } from '../../test/openvino-double/index.ts';
import { deviceChecks, whyNoDevice, type Machine } from './device-checks.ts';
import { openvinoReport, reportLines } from './report.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'baton-machine-'));
});
afterEach(async () => rm(root, { recursive: true, force: true }));

async function put(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

function machine(rest: Partial<Machine> = {}): Machine {
  return { platform: 'linux', root, mayUse: () => true, env: {}, ...rest };
}

const PCI = 'sys/bus/pci/devices/0000:00:0b.0';
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';
/** Not root's group, which nobody should join: root may give files to any. */
const isRoot = process.getuid?.() === 0;
const group = isRoot ? 4242 : (process.getgid?.() ?? 0);

/** A laptop on which the NPU works. */
const WORKING: Readonly<Record<string, string>> = {
  [`${PCI}/vendor`]: '0x8086\n',
  [`${PCI}/class`]: '0x120000\n',
  [`${PCI}/device`]: '0x7d1d\n',
  'proc/sys/kernel/osrelease': '6.11.0-21-generic\n',
  'sys/module/intel_vpu/refcnt': '0\n',
  'lib/firmware/intel/vpu/vpu_37xx_v1.bin.zst': '',
  'dev/accel/accel0': '',
  'etc/group': `root:x:0:\nrender-test:x:${group}:\n`,
  [`${LIBRARIES}/libze_loader.so.1`]: '',
  [`${LIBRARIES}/libze_intel_npu.so.1`]: '',
  [`${LIBRARIES}/libnpu_driver_compiler.so`]: '',
};

/** The working laptop without what begins so. */
function without(...gone: string[]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(WORKING).filter(([name]) => !gone.some((g) => name.startsWith(g))),
  );
}

describe('an NPU on Linux', () => {
  it('finds nothing wrong where nothing is', async () => {
    await put(WORKING);
    const checks = deviceChecks('openvino-npu', machine());
    expect(checks.map((c) => [c.what, c.ok])).toEqual([
      ['Intel NPU', true],
      ['kernel', true],
      ['kernel module intel_vpu', true],
      ['firmware', true],
      ['device file', true],
      ['rights', true],
      ['Level Zero loader', true],
      ['NPU driver', true],
      ['NPU compiler', true],
    ]);
    expect(checks.every((c) => c.fix === undefined)).toBe(true);
    expect(checks[0]!.found).toContain('0x7d1d at 0000:00:0b.0');
    expect(whyNoDevice('openvino-npu', machine())).toMatch(/all that it needs seems to be there/);
  });

  it.each([
    ['the device', [PCI], /no Intel NPU on the PCI bus; Core Ultra/],
    ['the module', ['sys/module'], /intel_vpu is not loaded; sudo modprobe intel_vpu/],
    ['firmware', ['lib/firmware'], /there is none in \/lib\/firmware\/intel\/vpu; install intel-fw-npu/],
    ['the device file', ['dev/accel'], /no device file for the NPU in \/dev\/accel; .*dmesg/],
    [
      'the loader',
      [`${LIBRARIES}/libze_loader`],
      /Level Zero loader \(libze_loader\.so\.1\) is missing; install level-zero/,
    ],
    [
      'the driver',
      [`${LIBRARIES}/libze_intel`],
      /libze_intel_npu\.so\) is missing; install intel-level-zero-npu/,
    ],
    [
      'the compiler',
      [`${LIBRARIES}/libnpu`],
      /libnpu_driver_compiler\.so\) is missing; install intel-driver-compiler-npu/,
    ],
  ])('misses %s', async (_what, gone, said) => {
    await put(without(...gone));
    expect(whyNoDevice('openvino-npu', machine())).toMatch(said);
  });

  it('finds a kernel too old, and another maker’s accelerator no NPU', async () => {
    await put({ ...WORKING, 'proc/sys/kernel/osrelease': '6.5.0-41-generic\n' });
    expect(whyNoDevice('openvino-npu', machine())).toMatch(
      /6\.5\.0-41-generic is too old .*; Linux 6\.6 or newer/,
    );
    await put({ [`${PCI}/vendor`]: '0x1e60\n' });
    expect(whyNoDevice('openvino-npu', machine())).toMatch(/no Intel NPU/);
  });

  it('names the group that may use the device, or how to give it one', async () => {
    await put(WORKING);
    const barred = machine({ mayUse: () => false });
    await chmod(path.join(root, 'dev/accel/accel0'), 0o660);
    if (isRoot) await chown(path.join(root, 'dev/accel/accel0'), 0, group);
    expect(whyNoDevice('openvino-npu', barred)).toBe(
      '/dev/accel/accel0 may not be used by you; sudo usermod -aG render-test $USER, then log in again',
    );
    await put({ 'etc/group': `root:x:${group}:\n` });
    expect(whyNoDevice('openvino-npu', barred)).toMatch(
      /may not be used by you; sudo chown root:render \/dev\/accel\/accel0 && sudo chmod g\+rw/,
    );
  });

  it('looks where LD_LIBRARY_PATH points', async () => {
    await put({ ...without(`${LIBRARIES}/libze_loader`), 'opt/level-zero/libze_loader.so.1.21.9': '' });
    expect(whyNoDevice('openvino-npu', machine({ env: { LD_LIBRARY_PATH: '/opt/level-zero' } }))).toMatch(
      /all that/,
    );
  });
});

it('looks for a GPU by its own parts', async () => {
  expect(whyNoDevice('openvino-gpu', machine())).toMatch(/no Intel GPU on the PCI bus; .*Intel’s GPUs only/);
  await put({ [`${PCI}/vendor`]: '0x8086\n', [`${PCI}/class`]: '0x030000\n' });
  expect(whyNoDevice('openvino-gpu', machine())).toMatch(/no device file for the GPU in \/dev\/dri/);
  await put({ 'dev/dri/card0': '', 'dev/dri/renderD128': '' });
  expect(whyNoDevice('openvino-gpu', machine({ mayUse: () => false }))).toMatch(
    /renderD128 may not be used by you/,
  );
  expect(whyNoDevice('openvino-gpu', machine())).toMatch(/libOpenCL\.so\.1\) is missing/);
  await put({ 'usr/lib64/libOpenCL.so.1': '' });
  expect(whyNoDevice('openvino-gpu', machine())).toMatch(/install intel-opencl-icd/);
  await put({ 'etc/OpenCL/vendors/intel.icd': '' });
  expect(whyNoDevice('openvino-gpu', machine())).toMatch(/all that it needs/);
});

it('gives Windows and macOS their own advice', async () => {
  const windows = machine({ platform: 'win32' });
  expect(whyNoDevice('openvino-npu', windows)).toMatch(/ze_loader\.dll is not in System32/);
  await put({ 'Windows/System32/ze_loader.dll': '', 'Windows/System32/OpenCL.dll': '' });
  expect(whyNoDevice('openvino-npu', windows)).toMatch(
    /"Intel\(R\) AI Boost".*; get the Intel NPU driver, 32\.0\.100\.3104/,
  );
  expect(whyNoDevice('openvino-gpu', windows)).toMatch(/Display adapters; get Intel’s graphics driver/);
  expect(whyNoDevice('openvino-npu', machine({ platform: 'darwin' }))).toMatch(
    /on Linux and Windows only; use openvino-cpu/,
  );
  expect(whyNoDevice('openvino-cpu', windows)).toMatch(/install-runtime --force/);
});

it('reports what is listed with its versions, and what is not with all that is missing', async () => {
  await put(without(`${LIBRARIES}/libze_loader`, `${LIBRARIES}/libnpu`));
  const without_ = openvinoReport(null, machine());
  expect(without_.runtime).toMatchObject({ package: '2026.4.0', loads: false });
  expect(Object.keys(without_.missing)).toEqual(['openvino-npu', 'openvino-gpu']);
  expect(reportLines(without_).join('\n')).toContain(
    '  - Level Zero loader (libze_loader.so.1) is missing\n    install level-zero',
  );
  expect(reportLines(without_).join('\n')).toContain('libnpu_driver_compiler.so');

  play({
    devices: ['CPU', 'NPU'],
    properties: { NPU: { NPU_DRIVER_VERSION: '1.32.1', DEVICE_ARCHITECTURE: '3720' } },
  });
  const listed = openvinoReport(addon, machine());
  expect(listed.runtime).toMatchObject({ loads: true, reason: 'OpenVINO 2026.4.0-double' });
  expect(listed.devices.NPU).toEqual({ name: 'Double of NPU', architecture: '3720', driver: '1.32.1' });
  expect(Object.keys(listed.missing)).toEqual(['openvino-gpu']);
  expect(reportLines(listed)[1]).toBe('NPU: Double of NPU, architecture 3720, driver 1.32.1');
  play({});
});
