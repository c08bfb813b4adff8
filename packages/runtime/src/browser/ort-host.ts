// Opens a compiled model on an ONNX Runtime Web provider. Falling back to another provider for single nodes is
// forbidden: it hides a slow or half-supported target behind a right answer, so it is an error with the reason.

import type { Manifest, ManifestGraph, ModelFiles } from '@baton/compiler';
import type { InferenceSession } from 'onnxruntime-common';
import type { Backend } from '../backend.ts';
import { RuntimeError, messageOf } from '../errors.ts';
import { OnnxBackend } from '../targets/onnx/backend.ts';
import { GpuCache } from './gpu-cache.ts';
import { buildFor, loadOrt, wasmThreads, type OrtModule } from './ort-loader.ts';

export type OrtWebTarget = 'wasm' | 'webgpu' | 'webnn-cpu' | 'webnn-gpu' | 'webnn-npu';

/** Building a graph of a 100 M parameter model takes seconds; a minute without an answer is a hang. */
const OPEN_TIMEOUT_MS = 60_000;

export async function openOrtWeb(
  target: OrtWebTarget,
  manifest: Manifest,
  files: ModelFiles,
): Promise<Backend> {
  const build = buildFor(target);
  const threads = target === 'wasm' ? wasmThreads() : 1;
  const ort = await loadOrt(build, threads);
  // Every session copies what it needs; the bytes themselves are read once and shared by all of them.
  const weights = await files.read(manifest.weightsFile);
  const options: InferenceSession.SessionOptions = {
    executionProviders: [provider(target)],
    graphOptimizationLevel: 'all',
    externalData: [{ path: manifest.weightsFile, data: weights }],
    extra: { session: { disable_cpu_ep_fallback: target === 'wasm' ? '0' : '1' } },
  };
  const device = target === 'webgpu' ? new OrtDevice(ort) : null;
  return OnnxBackend.open(
    {
      target,
      Tensor: ort.Tensor,
      chunkFrom: target === 'wasm' ? 4 : 8,
      describe: `ONNX Runtime Web (${build}), ${target === 'wasm' ? `${threads} thread${threads > 1 ? 's' : ''}` : 'whole graph on the provider'}`,
      open: async (graph) => {
        const model = await files.read(graph.file);
        const location = device && manifest.cacheUpdate === 'rows' ? newRowsOnDevice(graph) : {};
        try {
          const session = await settles(
            ort.InferenceSession.create(model, { ...options, ...location }),
            graph.file,
          );
          await device?.watch();
          return session;
        } catch (error) {
          throw new RuntimeError(
            'target-refused',
            `${target} does not take ${graph.file}: ${messageOf(error)}`,
            { cause: error },
          );
        }
      },
      ...(device
        ? {
            lost: device.lost,
            createCache: (m: Manifest, capacity: number, dtype: 'f32' | 'f16') =>
              GpuCache.create(device.get(), ort.Tensor, m, capacity, dtype),
          }
        : {}),
    },
    manifest,
    files,
  );
}

/** The GPU device that ONNX Runtime made for its first session, and its end. */
class OrtDevice {
  /** Resolves with the reason when the device is lost; never otherwise. */
  readonly lost: Promise<string>;
  readonly #ort: OrtModule;
  readonly #lose: (reason: string) => void;
  #device: GPUDevice | null = null;

  constructor(ort: OrtModule) {
    this.#ort = ort;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.lost = promise;
    this.#lose = resolve;
  }

  async watch(): Promise<void> {
    if (this.#device) return;
    this.#device = (await this.#ort.env.webgpu.device) as unknown as GPUDevice;
    void this.#device.lost.then(({ reason, message }) =>
      this.#lose(`the GPU device was lost (${reason || 'unknown'}${message ? `: ${message}` : ''})`),
    );
  }

  get(): GPUDevice {
    if (!this.#device)
      throw new RuntimeError(
        'target-refused',
        'webgpu: ONNX Runtime gives no device before its first session',
      );
    return this.#device;
  }
}

/** The layers' new keys and values stay on the device, where the cache is. */
function newRowsOnDevice(
  graph: ManifestGraph,
): Pick<InferenceSession.SessionOptions, 'preferredOutputLocation'> {
  const rows = graph.outputs.map((o) => o.name).filter((name) => /^(key|value)\.\d+$/.test(name));
  return rows.length > 0
    ? { preferredOutputLocation: Object.fromEntries(rows.map((name) => [name, 'gpu-buffer' as const])) }
    : {};
}

function provider(target: OrtWebTarget): InferenceSession.ExecutionProviderConfig {
  if (target === 'wasm' || target === 'webgpu') return target;
  return { name: 'webnn', deviceType: target.slice('webnn-'.length) as 'cpu' | 'gpu' | 'npu' };
}

/**
 * The session, or a rejection even where ONNX Runtime never settles: in the asyncify build a failing
 * MLGraphBuilder.build() only shows as an unhandled rejection. The module is unusable afterwards, which is why the
 * worker that did this is thrown away (client.ts).
 */
function settles(creating: Promise<InferenceSession>, file: string): Promise<InferenceSession> {
  const { promise, resolve, reject } = Promise.withResolvers<InferenceSession>();
  const unhandled = (event: PromiseRejectionEvent): void => reject(event.reason);
  const timer = setTimeout(
    () => reject(new Error(`no answer in ${OPEN_TIMEOUT_MS / 1000} s while opening ${file}`)),
    OPEN_TIMEOUT_MS,
  );
  globalThis.addEventListener('unhandledrejection', unhandled);
  creating.then(resolve, reject);
  return promise.finally(() => {
    clearTimeout(timer);
    globalThis.removeEventListener('unhandledrejection', unhandled);
  });
}
