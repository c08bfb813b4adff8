// Decode steps that ONNX Runtime records once and replays (graph capture): every input and output is a GPU buffer that
// stays the same, so a step is a few small uploads, one replay per graph and one copy of the new rows. ONNX Runtime binds
// the buffers at the first run and looks at no others later, therefore the cache that decodes must lie in the recorded
// buffers; another one changes places with it on the device (gpu-cache.ts).
// Limits of capture, from its authors: no control flow, every node on the provider, shapes that never change, all inputs
// and outputs in GPU buffers made beforehand (github.com/microsoft/onnxruntime, pull requests 18989 and 24900).

import type { Manifest, ManifestGraph } from '@baton/compiler';
import type { ManifestPort } from '@baton/compiler/manifest';
import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import type { DeviceStep } from '../targets/onnx/backend.ts';
import { elements, ortType, type FloatBuffer } from '../targets/onnx/buffers.ts';
import type { KvCache, NewRows } from '../targets/onnx/cache.ts';
import { layerGraphs, port } from '../targets/onnx/graphs.ts';
import { PassInputs, pastPort } from '../targets/onnx/pass-inputs.ts';
import type { GraphRunner } from '../targets/onnx/runner.ts';
import { runtimeBuffers, type CacheBuffers, type GpuCache } from './gpu-cache.ts';

/**
 * ONNX Runtime Web 1.30 gives a GPU buffer a handle when a run starts and drops it when the run ends, but a recorded graph
 * keeps the handles of its first run: another session's run in between gets the same memory for its own, and the next
 * recorded step aborts. It keeps the handle, and how many runs use it, under a symbol on the buffer; a count that is no
 * number never reaches the zero at which it is dropped.
 */
function keepHandle(buffer: GPUBuffer, symbol: symbol): void {
  let kept: [handle: number, runs: number] | undefined;
  Object.defineProperty(buffer, symbol, {
    get: () => kept,
    set: ([handle]: [number, number]) => {
      kept = [handle, Number.NaN];
    },
    configurable: true,
  });
}

function symbolOf(device: GPUDevice): symbol {
  const buffer = runtimeBuffers.get(device);
  const [symbol, ...others] = buffer ? Object.getOwnPropertySymbols(buffer) : [];
  if (!symbol || others.length > 0)
    throw new Error('this version of ONNX Runtime Web keeps its GPU buffers in another way');
  return symbol;
}

export class GpuStep implements DeviceStep {
  readonly #device: GPUDevice;
  readonly #Tensor: TensorConstructor;
  readonly #runner: GraphRunner;
  readonly #graphs: readonly ManifestGraph[];
  readonly #inputs: PassInputs;
  /** The inputs that the host fills, and per graph its outputs, by name. */
  readonly #given = new Map<string, GPUBuffer>();
  readonly #outputs: ReadonlyMap<string, GPUBuffer>[];
  #bound: CacheBuffers | null = null;

  private constructor(
    device: GPUDevice,
    Tensor: TensorConstructor,
    manifest: Manifest,
    runner: GraphRunner,
    graphs: readonly ManifestGraph[],
  ) {
    this.#device = device;
    this.#Tensor = Tensor;
    this.#runner = runner;
    this.#graphs = graphs;
    this.#inputs = new PassInputs(manifest, graphs);
    for (const [name, { spec }] of this.#inputs.buffers) this.#given.set(name, this.#buffer(spec));
    this.#outputs = graphs.map((g) => new Map(g.outputs.map((spec) => [spec.name, this.#buffer(spec)])));
  }

  /** Opens the sessions first: the device is ONNX Runtime's, and exists from its first session on. */
  static async open(
    device: () => GPUDevice,
    Tensor: TensorConstructor,
    manifest: Manifest,
    runner: GraphRunner,
    capacity: number,
  ): Promise<GpuStep> {
    const graphs = layerGraphs(manifest, 'decode', capacity);
    for (const graph of graphs) await runner.prepare(graph);
    return new GpuStep(device(), Tensor, manifest, runner, graphs);
  }

  /** As DeviceStep.run; `cache` is one of the same device. */
  async run(cache: KvCache, x: Float32Array, position: number): Promise<Tensor> {
    this.#settle(cache as GpuCache);
    this.#inputs.fill(x, position, 1);
    for (const [name, { data }] of this.#inputs.buffers) this.#upload(this.#given.get(name)!, data);
    const rows: NewRows[] = [];
    let y: { spec: ManifestPort; buffer: GPUBuffer } | null = null;
    for (const [i, graph] of this.#graphs.entries()) {
      const outputs = this.#outputs[i]!;
      const feeds = Object.fromEntries(
        graph.inputs.map((spec) => [spec.name, this.#input(cache, graph, spec, y?.buffer)]),
      );
      const fetches = Object.fromEntries(
        graph.outputs.map((spec) => [spec.name, this.#tensor(spec, outputs.get(spec.name)!)]),
      );
      await this.#runner.run(graph, feeds, fetches);
      y = { spec: port(graph, 'outputs', 'y'), buffer: outputs.get('y')! };
      for (let layer = graph.firstLayer!; layer <= graph.lastLayer!; layer++)
        rows.push({ layer, key: fetches[`key.${layer}`]!, value: fetches[`value.${layer}`]! });
    }
    cache.store(rows, 1, position, 1);
    return this.#tensor(y!.spec, y!.buffer);
  }

  /** Brings the cache into the buffers that the graphs were recorded with; the first cache gives them its own. */
  #settle(cache: GpuCache): void {
    if (this.#bound) return cache.moveInto(this.#bound);
    const symbol = symbolOf(this.#device);
    this.#bound = cache.buffers;
    this.#bound.captured = true;
    const own = [...this.#given.values(), ...this.#outputs.flatMap((outputs) => [...outputs.values()])];
    const caches = this.#bound.layers.flatMap(({ key, value }) => [key, value]);
    for (const buffer of [...own, ...caches]) keepHandle(buffer, symbol);
  }

  #input(cache: KvCache, graph: ManifestGraph, spec: ManifestPort, y: GPUBuffer | undefined): Tensor {
    if (spec.name === 'x' && y) return this.#tensor(spec, y);
    const given = this.#given.get(spec.name);
    if (given) return this.#tensor(spec, given);
    const { layer, part } = pastPort(graph, spec.name);
    return cache.input(spec, layer, part);
  }

  #tensor(spec: ManifestPort, buffer: GPUBuffer): Tensor {
    const dataType = ortType(spec) as 'float32' | 'float16';
    const download = (): Promise<FloatBuffer> => this.#read(spec, buffer);
    return this.#Tensor.fromGpuBuffer(buffer, { dataType, dims: spec.dims, download: download as never });
  }

  #buffer(spec: ManifestPort): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ size: padded(spec), usage });
  }

  #upload(buffer: GPUBuffer, data: FloatBuffer | Int32Array): void {
    // WebGPU writes multiples of four bytes; an odd number of f16 values takes two more.
    const whole = data.byteLength % 4 === 0;
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    if (whole) this.#device.queue.writeBuffer(buffer, 0, bytes);
    else {
      const more = new Uint8Array(data.byteLength + 2);
      more.set(bytes);
      this.#device.queue.writeBuffer(buffer, 0, more);
    }
  }

  async #read(spec: ManifestPort, buffer: GPUBuffer): Promise<FloatBuffer> {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.#device.createBuffer({ size: padded(spec), usage });
    try {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, staging.size);
      this.#device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      const bytes = staging.getMappedRange().slice(0);
      return spec.dtype === 'f16'
        ? new Float16Array(bytes, 0, elements(spec))
        : new Float32Array(bytes, 0, elements(spec));
    } finally {
      staging.destroy();
    }
  }
}

function padded(spec: ManifestPort): number {
  return Math.ceil((elements(spec) * (spec.dtype === 'f16' ? 2 : 4)) / 16) * 16;
}
