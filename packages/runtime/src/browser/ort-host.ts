// Opens a compiled model on an ONNX Runtime Web provider. Falling back to another provider for single nodes is
// forbidden: it hides a slow or half-supported target behind a right answer, so it is an error with the reason.

import type { Manifest, ManifestGraph, ModelFiles } from '@baton/compiler';
import type { InferenceSession } from 'onnxruntime-common';
import type { Backend } from '../backend.ts';
import { RuntimeError, messageOf } from '../errors.ts';
import { OnnxBackend } from '../targets/onnx/backend.ts';
import { agreement, environment, modelKey } from '../self-test.ts';
import { browserFacts } from './browser-facts.ts';
import type { GraphRunner } from '../targets/onnx/runner.ts';
import { GpuCache } from './gpu-cache.ts';
import { GpuStep } from './gpu-step.ts';
import { MlCache, type MlContext } from './ml-cache.ts';
import { OPEN_AGAIN } from './open-again.ts';
import { buildFor, loadOrt, wasmThreads, type OrtModule } from './ort-loader.ts';

export type OrtWebTarget = 'wasm' | 'webgpu' | 'webnn-cpu' | 'webnn-gpu' | 'webnn-npu';

/** Building a graph of a 100 M parameter model takes seconds; a minute without an answer is a hang. */
const OPEN_TIMEOUT_MS = 60_000;

export async function openOrtWeb(
  target: OrtWebTarget,
  manifest: Manifest,
  files: ModelFiles,
  options: { patienceMs?: number; hostCache?: boolean } = {},
): Promise<Backend> {
  const build = buildFor(target);
  const threads = target === 'wasm' ? wasmThreads() : 1;
  const ort = await loadOrt(build, threads);
  // Every session copies what it needs; the bytes themselves are read once and shared by all of them.
  const weights = await files.read(manifest.weightsFile);
  const about = `ONNX Runtime Web (${build}), ${target === 'wasm' ? `${threads} thread${threads > 1 ? 's' : ''}` : 'whole graph on the provider'}`;
  const at: Opening = {
    sessions: new Map(),
    trying: false,
    target,
    ort,
    manifest,
    files,
    weights,
    patience: Math.min(OPEN_TIMEOUT_MS, options.patienceMs ?? OPEN_TIMEOUT_MS),
  };
  if (target.startsWith('webnn') && manifest.cacheUpdate === 'whole' && !options.hostCache)
    at.mlContext = await createMlContext(target);
  if (target !== 'webgpu')
    return openBackend(at, null, false, at.mlContext ? `${about}, cache in MLTensors` : about);
  const device = new OrtDevice(ort);
  if (manifest.cacheUpdate !== 'rows') return openBackend(at, device, false, about);
  const why = await captured(at, device, about);
  if (typeof why !== 'string') return why;
  return openBackend(at, device, false, `${about}, decode steps not recorded (${why})`);
}

interface Opening {
  target: OrtWebTarget;
  ort: OrtModule;
  manifest: Manifest;
  files: ModelFiles;
  weights: Uint8Array;
  /** Milliseconds that a session may take to open. */
  patience: number;
  /** Open sessions without recording, by file: they are the same whether decode steps are recorded or not. */
  sessions: Map<string, Promise<InferenceSession>>;
  /** Where caches of graphs that return them whole lie; absent: on the host. */
  mlContext?: MlContext;
  /** While recording is tried, those sessions outlive a failure: the next attempt goes on with them. */
  trying: boolean;
}

/**
 * A backend whose decode steps are recorded and replayed, or the reason why it cannot be had. Replays have given wrong
 * numbers in ONNX Runtime (its issue 29594), so they must first agree with the prefill graph, which is never recorded.
 */
async function captured(at: Opening, device: OrtDevice, about: string): Promise<Backend | string> {
  const facts = browserFacts();
  const key = `recording ${modelKey(at.manifest)} ${environment()}`;
  const known = await facts.get(key);
  if (typeof known === 'string') return known;
  // Written before it is tried: an attempt that breaks ONNX Runtime is not made a second time.
  await facts.set(key, 'an earlier attempt broke ONNX Runtime');
  const recorded: InferenceSession[] = [];
  at.trying = true;
  const giveUp = async (why: string): Promise<string> => {
    // Only these: once ONNX Runtime's last WebGPU session is gone it finds no adapter again.
    for (const session of recorded) await session.release().catch(() => undefined);
    await facts.set(key, why);
    return why;
  };
  try {
    const described = `${about}, decode steps recorded and replayed`;
    const backend = await openBackend(at, device, true, described, (session) => recorded.push(session));
    const { disagreement, limit } = await agreement(backend, at.manifest);
    if (disagreement <= limit) {
      await facts.set(key, true);
      return backend;
    }
    return await giveUp(`replays differ by ${disagreement.toPrecision(2)} from the prefill graph`);
  } catch (error) {
    if (device.isLost) await facts.set(key, undefined);
    if (error instanceof OpenTimeout || device.isLost) throw error;
    // WebAssembly that has aborted answers nothing any more; a fresh worker starts without recording.
    if (/unreachable|aborted/i.test(messageOf(error)))
      throw new RuntimeError('target-refused', `webgpu: ${OPEN_AGAIN}: ${messageOf(error)}`, {
        cause: error,
      });
    return await giveUp(messageOf(error).split('\n')[0]!.slice(0, 200));
  } finally {
    at.trying = false;
  }
}

function openBackend(
  at: Opening,
  device: OrtDevice | null,
  capture: boolean,
  describe: string,
  onRecorded: (session: InferenceSession) => void = () => undefined,
): Promise<Backend> {
  const { target, ort, manifest, files, weights, patience, sessions, mlContext } = at;
  const options: InferenceSession.SessionOptions = {
    executionProviders: [provider(target, at.mlContext)],
    graphOptimizationLevel: 'all',
    externalData: [{ path: manifest.weightsFile, data: weights }],
    extra: { session: { disable_cpu_ep_fallback: target === 'wasm' ? '0' : '1' } },
  };
  const open = async (
    graph: ManifestGraph,
    outputs: InferenceSession.SessionOptions,
  ): Promise<InferenceSession> => {
    const model = await files.read(graph.file);
    try {
      const session = await settles(
        ort.InferenceSession.create(model, { ...options, ...outputs }),
        graph.file,
        patience,
      );
      await device?.watch();
      return session;
    } catch (error) {
      if (error instanceof OpenTimeout) throw error;
      throw new RuntimeError('target-refused', `${target} does not take ${graph.file}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  };
  return OnnxBackend.open(
    {
      target,
      Tensor: ort.Tensor,
      chunkFrom: target === 'wasm' ? 4 : 8,
      describe,
      blocking: target === 'wasm',
      open: async (graph) => {
        if (capture && graph.role === 'decode') {
          const session = await open(graph, {
            enableGraphCapture: true,
            preferredOutputLocation: 'gpu-buffer',
          });
          onRecorded(session);
          return session;
        }
        let session = sessions.get(graph.file);
        if (!session) {
          session = open(graph, outputsOnDevice(at, graph));
          sessions.set(graph.file, session);
          session.catch(() => sessions.delete(graph.file));
        }
        const opened = await session;
        return {
          run: opened.run.bind(opened),
          release: async () => {
            if (!at.trying && sessions.delete(graph.file)) await opened.release();
          },
        } as InferenceSession;
      },
      ...(device
        ? {
            lost: device.lost,
            createCache: (m: Manifest, capacity: number, dtype: 'f32' | 'f16') =>
              // Graphs that return their whole cache give it to the host.
              manifest.cacheUpdate === 'rows'
                ? GpuCache.create(device.get(), ort.Tensor, m, capacity, dtype)
                : undefined,
          }
        : {}),
      ...(mlContext
        ? {
            createCache: (m: Manifest, capacity: number, dtype: 'f32' | 'f16') =>
              MlCache.create(mlContext, ort.Tensor, m, capacity, dtype),
            close: async () => mlContext.destroy?.(),
          }
        : {}),
      ...(device && capture
        ? {
            openStep: (m: Manifest, runner: GraphRunner, capacity: number) =>
              GpuStep.open(() => device.get(), ort.Tensor, m, runner, capacity),
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
  #gone = false;

  constructor(ort: OrtModule) {
    this.#ort = ort;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.lost = promise;
    this.#lose = resolve;
  }

  async watch(): Promise<void> {
    if (this.#device) return;
    this.#device = (await this.#ort.env.webgpu.device) as unknown as GPUDevice;
    void this.#device.lost.then(({ reason, message }) => {
      this.#gone = true;
      this.#lose(`the GPU device was lost (${reason || 'unknown'}${message ? `: ${message}` : ''})`);
    });
  }

  get isLost(): boolean {
    return this.#gone;
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

/** What the layers write of the cache stays where the cache is. */
function outputsOnDevice(
  { target, manifest, mlContext }: Opening,
  graph: ManifestGraph,
): Pick<InferenceSession.SessionOptions, 'preferredOutputLocation'> {
  const place =
    target === 'webgpu' && manifest.cacheUpdate === 'rows' ? 'gpu-buffer' : mlContext ? 'ml-tensor' : null;
  const names = graph.outputs
    .map((output) => output.name)
    .filter((name) => /^(next_)?(key|value)\.\d+$/.test(name));
  return place && names.length > 0
    ? { preferredOutputLocation: Object.fromEntries(names.map((name) => [name, place])) }
    : {};
}

function provider(
  target: OrtWebTarget,
  context: MlContext | undefined,
): InferenceSession.ExecutionProviderConfig {
  if (target === 'wasm' || target === 'webgpu') return target;
  const deviceType = target.slice('webnn-'.length) as 'cpu' | 'gpu' | 'npu';
  return { name: 'webnn', deviceType, ...(context ? { context: context as never } : {}) };
}

/** One context for every session of a model: tensors belong to a context. */
async function createMlContext(target: OrtWebTarget): Promise<MlContext> {
  const { ml } = navigator as Navigator & { ml: { createContext(options: object): Promise<MlContext> } };
  return ml.createContext({ deviceType: target.slice('webnn-'.length) });
}

/**
 * The session, or a rejection even where ONNX Runtime never settles: in the asyncify build a failing
 * MLGraphBuilder.build() only shows as an unhandled rejection. The module is unusable afterwards, which is why the
 * worker that did this is thrown away (client.ts).
 */
function settles(
  creating: Promise<InferenceSession>,
  file: string,
  patience: number,
): Promise<InferenceSession> {
  const { promise, resolve, reject } = Promise.withResolvers<InferenceSession>();
  const unhandled = (event: PromiseRejectionEvent): void => reject(event.reason);
  const timer = setTimeout(() => reject(new OpenTimeout(file, patience)), patience);
  globalThis.addEventListener('unhandledrejection', unhandled);
  creating.then(resolve, reject);
  return promise.finally(() => {
    clearTimeout(timer);
    globalThis.removeEventListener('unhandledrejection', unhandled);
  });
}

/** ONNX Runtime did not answer; nothing more can be asked of this worker's copy of it. */
class OpenTimeout extends RuntimeError {
  constructor(file: string, patience: number) {
    super('target-refused', `no answer in ${patience / 1000} s while opening ${file}`);
  }
}
