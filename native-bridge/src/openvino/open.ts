// Opens a compiled model on an OpenVINO device: blobs through the cache, every graph tested against the CPU, the prefill
// graphs on whichever device is fastest at them. The host's duties around the graphs are the runtime's ONNX backend's.
import path from 'node:path';
import { OnnxBackend, RuntimeError, type Backend, type TargetSet } from '@baton/runtime';
import type { Manifest, ManifestGraph, ModelFiles } from '@baton/compiler';
import { Tensor, type InferenceSession } from 'onnxruntime-common';
import { blobFolder, blobKey } from './blob-cache.ts';
import { finishedBlob } from './blob-files.ts';
import { boundSession } from './bound-session.ts';
import { fixedInputs, testChunk } from './chunk-test.ts';
import { availableDevices, type OpenvinoTarget } from './device.ts';
import { requireReadable } from './graph-check.ts';
import type { Openvino } from './load.ts';
import { compileGraph } from './properties.ts';
import { warmUp, type Progress } from './warm-up.ts';

export interface OpenParts {
  addon: Openvino;
  /** Module to load the addon from in the compiling child process; null: openvino-node. */
  addonModule: string | null;
  facts: TargetSet['facts'];
  target: OpenvinoTarget;
  device: string;
  manifest: Manifest;
  files: ModelFiles;
  onProgress: Progress;
}

/** Throws `target-unavailable` where the device cannot compile the model, `target-refused` where it computes wrongly. */
export async function openOpenvino(parts: OpenParts): Promise<Backend> {
  const { addon, target, device, manifest, files } = parts;
  const { directory } = files;
  if (directory === undefined)
    throw new RuntimeError('target-unavailable', `${target}: OpenVINO reads models from a folder only`);
  await requireReadable(target, manifest, files);
  const sessions = new Sessions(parts, directory);
  // Everything that may be needed, now and with a progress line each: compiling in the middle of an answer, when it
  // outgrows its capacity or is first watched, would be minutes of silence.
  const [prefills, others] = split(manifest.graphs);
  await sessions.fillCache([...others, ...prefills.slice(0, 1)], device);
  const { prefill, chunkFrom } = await sessions.measure(prefills[0]!);
  await sessions.fillCache(prefills, prefill);
  return OnnxBackend.open(
    {
      target,
      Tensor,
      chunkFrom,
      describe: `OpenVINO ${addon.getOpenvinoVersion().buildNumber}, decode on ${device}, prefill on ${prefill} from ${chunkFrom} tokens`,
      open: (graph) => sessions.open(graph, graph.role === 'prefill' ? prefill : device),
    },
    manifest,
    files,
  );
}

interface Measured {
  /** Device of the prefill graphs. */
  prefill: string;
  /** Tokens from which one padded chunk is cheaper than that many steps. */
  chunkFrom: number;
}

/**
 * Another device has to be faster by this factor, and by more than a chunk of a tiny model takes at all: the weights are
 * loaded there a second time, and timings are noisy.
 */
const WORTH_MOVING = { factor: 0.9, ms: 2 };

/** Prefill graphs, of the smallest capacity's first layers first; and the others. */
function split(graphs: readonly ManifestGraph[]): [prefills: ManifestGraph[], others: ManifestGraph[]] {
  const isPrefill = (g: ManifestGraph): boolean => g.role === 'prefill';
  const order = (a: ManifestGraph, b: ManifestGraph): number =>
    a.capacity! - b.capacity! || a.firstLayer! - b.firstLayer!;
  return [graphs.filter(isPrefill).sort(order), graphs.filter((g) => !isPrefill(g))];
}

class Sessions {
  readonly #parts: OpenParts;
  readonly #directory: string;

  constructor(parts: OpenParts, directory: string) {
    this.#parts = parts;
    this.#directory = directory;
  }

  /** Compiled (from the cache where it is worth one), bound, and tested if it is not the CPU itself. */
  async open(graph: ManifestGraph, device: string): Promise<InferenceSession> {
    const session = await this.#bind(graph, device);
    if (device === 'CPU') return session;
    const { facts } = this.#parts;
    const key = `chunk-test ${this.#key(device)} ${graph.file}`;
    if (typeof (await facts.get(key)) === 'number') return session;
    try {
      const reference = await this.#bind(graph, 'CPU');
      try {
        await facts.set(key, await testChunk(device, graph, session, reference));
      } finally {
        await reference.release();
      }
      return session;
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  /** Where prefill is fastest and from how many tokens it pays, measured on the first layers, remembered. */
  async measure(prefill: ManifestGraph): Promise<Measured> {
    const { addon, device, facts, manifest } = this.#parts;
    const devices = [device, ...availableDevices(addon).filter((d) => d !== device)];
    const key = `prefill ${this.#key(device)} ${devices.join(' ')}`;
    const known = (await facts.get(key)) as Measured | undefined;
    if (known && devices.includes(known.prefill)) return known;
    const { capacity, firstLayer } = prefill;
    const decode = manifest.graphs.find(
      (g) => g.role === 'decode' && g.capacity === capacity && g.firstLayer === firstLayer,
    )!;
    const stepMs = await this.#time(decode, device);
    let best = { device, ms: await this.#time(prefill, device) };
    for (const other of devices.slice(1)) {
      // Only the device that was asked for has to work.
      const ms = await this.fillCache([prefill], other)
        .then(() => this.#time(prefill, other))
        .catch(() => Infinity);
      if (ms < best.ms * WORTH_MOVING.factor && ms < best.ms - WORTH_MOVING.ms) best = { device: other, ms };
    }
    const measured = { prefill: best.device, chunkFrom: Math.max(2, Math.ceil(best.ms / stepMs)) };
    await facts.set(key, measured);
    return measured;
  }

  /** Milliseconds of one run, the best of five after one that is not counted. */
  async #time(graph: ManifestGraph, device: string): Promise<number> {
    const session = await this.open(graph, device);
    try {
      const feeds = fixedInputs(graph);
      await session.run(feeds);
      let best = Infinity;
      for (let i = 0; i < 5; i++) {
        const began = performance.now();
        await session.run(feeds);
        best = Math.min(best, performance.now() - began);
      }
      return best;
    } finally {
      await session.release();
    }
  }

  async #bind(graph: ManifestGraph, device: string): Promise<InferenceSession> {
    const { addon } = this.#parts;
    const cache = this.#isCached(device) ? finishedBlob(this.#blobs(device), graph) : null;
    const file = path.join(this.#directory, graph.file);
    const { model } = await compileGraph(new addon.Core(), file, device, cache);
    return boundSession(addon, model, graph);
  }

  /** Compiles in a child process what is not compiled yet. */
  async fillCache(graphs: readonly ManifestGraph[], device: string): Promise<void> {
    if (!this.#isCached(device)) return;
    const { addonModule, onProgress } = this.#parts;
    const job = { addonModule, device, model: this.#directory, root: this.#blobs(device), graphs };
    await warmUp(job, onProgress);
  }

  /** The CPU plugin compiles in a moment; its blobs would only cost disk. */
  #isCached(device: string): boolean {
    return device !== 'CPU';
  }

  #blobs(device: string): string {
    return blobFolder(this.#parts.addon, device, this.#parts.manifest, this.#directory);
  }

  #key(device: string): string {
    return blobKey(this.#parts.addon, device, this.#parts.manifest, this.#directory);
  }
}
