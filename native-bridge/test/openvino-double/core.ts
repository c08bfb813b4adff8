// The double's Core: devices, properties, and compilation of ONNX files through a model cache on disk. The asynchronous
// compileModel works on a core of its own, so that nothing set with setProperty reaches it.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as ort from 'onnxruntime-node';
import type { CompiledModel, Core, Model, OVAny, Version } from 'openvino-node/types/addon.d.ts';
// Not the whole compiler: every compiling child loads this.
import { unsupportedByOpenvino } from '../../../packages/compiler/src/openvino/unsupported-operators.ts';
import { declared, type Members } from './face.ts';
import { DoubleCompiledModel } from './model.ts';
import { devices, record, settings } from './settings.ts';

/** What each device takes in its compile configuration; anything else is an error, as in OpenVINO. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  CPU: [
    'CACHE_DIR',
    'CACHE_MODE',
    'INFERENCE_NUM_THREADS',
    'INFERENCE_PRECISION_HINT',
    'NUM_STREAMS',
    'PERFORMANCE_HINT',
  ],
  GPU: ['CACHE_DIR', 'CACHE_MODE', 'INFERENCE_PRECISION_HINT', 'NUM_STREAMS', 'PERFORMANCE_HINT'],
  NPU: [
    'CACHE_DIR',
    'CACHE_MODE',
    'INFERENCE_PRECISION_HINT',
    'NPU_COMPILATION_MODE_PARAMS',
    'NPU_COMPILER_TYPE',
    'NPU_TURBO',
    'NPU_USE_NPUW',
    'PERFORMANCE_HINT',
  ],
};

let compiledHere = 0;

export class DoubleCore implements Members<Core> {
  readonly #set: Record<string, OVAny> = {};

  async compileModel(
    model: Model | string,
    device: string,
    config: Record<string, OVAny> = {},
  ): Promise<CompiledModel> {
    if (typeof model !== 'string') throw new Error('the double compiles files only');
    const properties = stringsOf(config);
    checkDevice(device);
    checkProperties(device, properties);
    const unknown = unsupportedByOpenvino(await readFile(model));
    if (unknown.length > 0)
      throw new Error(`OpenVINO does not support the following ONNX operations: ${unknown.join(', ')}`);
    const event = { pid: process.pid, device, file: path.basename(model), properties };
    const blob =
      properties.CACHE_DIR === undefined ? null : blobFile(properties.CACHE_DIR, model, device, properties);
    const known = blob !== null && existsSync(blob) && readFileSync(blob, 'utf8').endsWith(END);
    record({ event: known ? 'import' : 'compile', ...event });
    if (!known) {
      if (device !== 'CPU') endProcessIfPlayed(model);
      if (blob !== null) await writeSlowly(blob, `${JSON.stringify(event)}${END}`);
      compiledHere++;
    }
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
    });
    return declared<CompiledModel>(
      new DoubleCompiledModel(session, device, path.basename(model), { LOADED_FROM_CACHE: known }),
    );
  }
  getAvailableDevices(): string[] {
    return [...devices()];
  }
  getProperty(first: string, second?: string): OVAny {
    if (second === undefined) return this.#set[first] ?? notFound(first);
    checkDevice(first);
    const own = { FULL_DEVICE_NAME: `Double of ${first}`, ...settings().properties?.[first] };
    return (own as Record<string, string>)[second] ?? notFound(second);
  }
  setProperty(first: string | Record<string, OVAny>, second?: Record<string, OVAny>): void {
    Object.assign(this.#set, typeof first === 'string' ? second : first);
  }
  getVersions(device: string): { [device: string]: Version } {
    return { [device]: VERSION };
  }
  compileModelSync(): CompiledModel {
    throw new Error('the double compiles asynchronously only');
  }
  importModel(): Promise<CompiledModel> {
    throw new Error('the double imports through its model cache only');
  }
  importModelSync(): CompiledModel {
    throw new Error('the double imports through its model cache only');
  }
  readModel(): Promise<Model> {
    throw new Error('the double compiles files only');
  }
  readModelSync(): Model {
    throw new Error('the double compiles files only');
  }
  queryModel(): { [operator: string]: string } {
    throw new Error('the double cannot query models');
  }
  addExtension(): void {
    throw new Error('the double has no extensions');
  }
}

export const VERSION: Version = {
  buildNumber: '2026.4.0-double',
  description: 'test double over onnxruntime-node',
};

const END = '\n# end of blob\n';

function notFound(name: string): never {
  throw new Error(`[ NOT_FOUND ] Option '${name}' is not supported for current configuration`);
}

function checkDevice(device: string): void {
  if (!devices().includes(device))
    throw new Error(
      `Exception from src/inference/src/cpp/core.cpp:112:\nDevice with "${device}" name is not registered in the OpenVINO Runtime`,
    );
}

/** Only strings: what the adapter is to pass. */
function stringsOf(config: Record<string, OVAny>): Record<string, string> {
  for (const [name, value] of Object.entries(config))
    if (typeof value !== 'string')
      throw new Error(`the double takes strings only, and ${name} is a ${typeof value}`);
  return config as Record<string, string>;
}

function checkProperties(device: string, properties: Readonly<Record<string, string>>): void {
  const { rejects = [], rejectsSilently } = settings();
  for (const name of Object.keys(properties)) {
    if (KNOWN[device.split('.')[0]!]?.includes(name) && !(device !== 'CPU' && rejects.includes(name)))
      continue;
    if (rejectsSilently) throw new Error('[ NOT_FOUND ] Unsupported configuration option');
    notFound(name);
  }
}

/** As OpenVINO: the path, the file's time and size, the device and its options. */
function blobFile(
  folder: string,
  model: string,
  device: string,
  properties: Readonly<Record<string, string>>,
): string {
  const { mtimeMs, size } = statSync(model);
  const { CACHE_DIR: _, ...rest } = properties;
  const key = createHash('sha256').update(JSON.stringify([path.resolve(model), mtimeMs, size, device, rest]));
  mkdirSync(folder, { recursive: true });
  return path.join(folder, `${key.digest('hex').slice(0, 20)}.blob`);
}

async function writeSlowly(file: string, text: string): Promise<void> {
  const { blobMs = 0 } = settings();
  if (blobMs > 0) {
    writeFileSync(file, text.slice(0, text.length / 2));
    await sleep(blobMs);
  }
  writeFileSync(file, text);
}

function endProcessIfPlayed(model: string): void {
  const { dies } = settings();
  if (!dies || !path.basename(model).includes(dies.file)) return;
  if (dies.unless === 'first' && compiledHere === 0) return;
  process.kill(process.pid, 'SIGKILL');
}
