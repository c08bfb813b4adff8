// How graphs are compiled for each OpenVINO device. All values are strings: openvino-node turns whole numbers into int32
// and knows no other way to say what a plugin expects. Drivers differ in what they accept, so a property that one
// rejects is dropped and the compilation tried again. Sources: OpenVINO's property reference (2026); for the operators
// that an NPU must keep in higher precision, the defaults of OpenVINO's own NPU pipeline for language models.
// Only this: the compiling child loads no more of the runtime.
import { RuntimeError } from '@baton/runtime/errors';
import type { CompiledModel, Core } from 'openvino-node/types/addon.d.ts';

export type Properties = Readonly<Record<string, string>>;

/** In the order in which they may be given up: the last is the first to go when a rejection names none. */
const WANTED: Readonly<Record<string, Properties>> = {
  CPU: { PERFORMANCE_HINT: 'LATENCY', INFERENCE_PRECISION_HINT: 'f32' },
  GPU: { PERFORMANCE_HINT: 'LATENCY', INFERENCE_PRECISION_HINT: 'f16' },
  NPU: {
    PERFORMANCE_HINT: 'LATENCY',
    // RMSNorm loses its meaning in half precision: squares overflow, and 1e-6 is no number there.
    NPU_COMPILATION_MODE_PARAMS: 'compute-layers-with-higher-precision=Sqrt,Power,ReduceMean,Add_RMSNorm',
    NPU_TURBO: 'YES',
  },
};

export interface Compiled {
  model: CompiledModel;
  /** What the device took. */
  properties: Properties;
  rejected: readonly string[];
}

export function wantedProperties(device: string): Properties {
  return WANTED[device.split('.')[0]!] ?? {};
}

/**
 * Compiles the graph in `file`, through OpenVINO's model cache in `cacheFolder` where one is given. Throws
 * `target-unavailable` with OpenVINO's own line when nothing is left to give up.
 */
export async function compileGraph(
  core: Core,
  file: string,
  device: string,
  cacheFolder: string | null,
): Promise<Compiled> {
  let properties: Properties = {
    ...(cacheFolder === null ? {} : { CACHE_DIR: cacheFolder }),
    ...wantedProperties(device),
  };
  const rejected: string[] = [];
  for (;;) {
    try {
      // In the call and not through setProperty: the asynchronous form works on a core of its own.
      return { model: await core.compileModel(file, device, { ...properties }), properties, rejected };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const drop = blamed(message, Object.keys(properties));
      if (drop.length === 0)
        throw new RuntimeError(
          'target-unavailable',
          `${device} cannot compile ${fileName(file)}: ${firstLine(message)}`,
          {
            cause: error,
          },
        );
      rejected.push(...drop);
      properties = Object.fromEntries(Object.entries(properties).filter(([name]) => !drop.includes(name)));
    }
  }
}

/** The properties that a failure is about; none where it is about the graph. */
function blamed(message: string, names: readonly string[]): readonly string[] {
  const named = names.filter((name) => new RegExp(`\\b${name}\\b`).test(message));
  if (named.length > 0) return named;
  const isAboutProperties =
    /\b(propert(y|ies)|config(uration)?|option)\b/i.test(message) &&
    /unsupported|not supported|unknown|not found|not_found|invalid/i.test(message);
  return isAboutProperties ? names.slice(-1) : [];
}

function fileName(file: string): string {
  return file.split(/[\\/]/).at(-1)!;
}

/** OpenVINO's messages begin with where in its sources they were thrown. */
function firstLine(message: string): string {
  const lines = message
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return (
    lines.find((line) => !/^(Exception from|Check '.*' failed at) /.test(line)) ??
    lines[0] ??
    'no reason given'
  );
}
