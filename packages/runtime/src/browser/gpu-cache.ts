// The KV cache in GPU buffers for the WebGPU target: the graphs read it where it lies, and their new rows are copied in
// on the device. Saves the upload of the whole cache at every step (25 MB for a 100 M model with 1024 slots) and the
// download of the new rows. Only sliding brings it to the host, once per many tokens, where the keys are turned back.

import type { Manifest, ManifestPort } from '@baton/compiler';
import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import { RuntimeError } from '../errors.ts';
import { ortType } from '../targets/onnx/buffers.ts';
import { gapCloser, type KvCache, type NewRows } from '../targets/onnx/cache.ts';

interface LayerBuffers {
  key: GPUBuffer;
  value: GPUBuffer;
}

/** Every layer's buffers of one capacity. A captured graph holds on to the ones it was recorded with (gpu-step.ts). */
export interface CacheBuffers {
  readonly capacity: number;
  readonly layers: readonly LayerBuffers[];
  /** Recorded in a captured graph: they live as long as it does. */
  captured: boolean;
  /** The cache whose rows they hold; null: nobody's. */
  owner: GpuCache | null;
}

/** A buffer that ONNX Runtime made itself, per device, from the latest prefill (gpu-step.ts reads how it is kept). */
export const runtimeBuffers = new WeakMap<GPUDevice, GPUBuffer>();

export class GpuCache implements KvCache {
  readonly #device: GPUDevice;
  readonly #Tensor: TensorConstructor;
  readonly #manifest: Manifest;
  readonly #elementBytes: number;
  #buffers: CacheBuffers | null = null;

  private constructor(
    device: GPUDevice,
    Tensor: TensorConstructor,
    manifest: Manifest,
    dtype: 'f32' | 'f16',
  ) {
    this.#device = device;
    this.#Tensor = Tensor;
    this.#manifest = manifest;
    this.#elementBytes = dtype === 'f32' ? 4 : 2;
  }

  /** Throws where the device has no memory for it. */
  static async create(
    device: GPUDevice,
    Tensor: TensorConstructor,
    manifest: Manifest,
    capacity: number,
    dtype: 'f32' | 'f16',
  ): Promise<GpuCache> {
    const cache = new GpuCache(device, Tensor, manifest, dtype);
    cache.#buffers = await cache.#allocate(capacity);
    return cache;
  }

  get capacity(): number {
    return this.buffers.capacity;
  }

  /** Where the rows lie now. */
  get buffers(): CacheBuffers {
    if (!this.#buffers) throw new RuntimeError('closed', 'this cache is closed');
    return this.#buffers;
  }

  /** Makes `target`, buffers of the same capacity, hold this cache's rows; their owner gets this cache's buffers. */
  moveInto(target: CacheBuffers): void {
    const mine = this.buffers;
    if (target === mine) return;
    const { owner } = target;
    const encoder = this.#device.createCommandEncoder();
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const size = this.#bufferBytes(mine.capacity);
    const spare = owner ? this.#device.createBuffer({ size, usage }) : null;
    mine.layers.forEach((layer, i) => {
      for (const part of ['key', 'value'] as const) {
        const [from, to] = [layer[part], target.layers[i]![part]];
        if (spare) encoder.copyBufferToBuffer(to, 0, spare, 0, size);
        encoder.copyBufferToBuffer(from, 0, to, 0, size);
        if (spare) encoder.copyBufferToBuffer(spare, 0, from, 0, size);
      }
    });
    this.#device.queue.submit([encoder.finish()]);
    spare?.destroy();
    this.#buffers = target;
    target.owner = this;
    mine.owner = owner;
    if (owner) owner.#buffers = mine;
    else release(mine);
  }

  input(spec: ManifestPort, layer: number, part: 'key' | 'value'): Tensor {
    const dataType = ortType(spec) as 'float32' | 'float16';
    return this.#Tensor.fromGpuBuffer(this.buffers.layers[layer]![part], { dataType, dims: spec.dims });
  }

  store(rows: readonly NewRows[], length: number, slot: number, count: number): void {
    const { layers, capacity } = this.buffers;
    const encoder = this.#device.createCommandEncoder();
    const row = this.#rowBytes;
    if (!this.buffers.captured) runtimeBuffers.set(this.#device, rows[0]!.key.gpuBuffer);
    for (const { layer, key, value } of rows) {
      for (const [from, to] of [
        [key, layers[layer]!.key],
        [value, layers[layer]!.value],
      ] as const) {
        for (let h = 0; h < this.#manifest.architecture.kvHeads; h++) {
          encoder.copyBufferToBuffer(
            from.gpuBuffer,
            h * length * row,
            to,
            (h * capacity + slot) * row,
            count * row,
          );
        }
      }
    }
    this.#device.queue.submit([encoder.finish()]);
    // Copies were queued before these buffers return to ONNX Runtime's pool, and the queue keeps the order. Tensors of a
    // captured step stay: their buffers are its own, and disposing of them does nothing.
    for (const { key, value } of rows) {
      key.dispose();
      value.dispose();
    }
  }

  async resize(capacity: number, live: number): Promise<void> {
    const old = this.buffers;
    const next = await this.#allocate(capacity);
    const kept = live * this.#rowBytes;
    const encoder = this.#device.createCommandEncoder();
    const row = this.#rowBytes;
    old.layers.forEach((layer, i) => {
      for (const part of ['key', 'value'] as const) {
        for (let h = 0; h < this.#manifest.architecture.kvHeads; h++) {
          const from = h * old.capacity * row;
          encoder.copyBufferToBuffer(layer[part], from, next.layers[i]![part], h * capacity * row, kept);
        }
      }
    });
    this.#device.queue.submit([encoder.finish()]);
    release(old);
    this.#buffers = next;
  }

  async evict(from: number, count: number, live: number): Promise<void> {
    const { kvHeads, headDim } = this.#manifest.architecture;
    const { layers, capacity } = this.buffers;
    const closeGap = gapCloser(this.#manifest, capacity, from, count, live);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.#device.createBuffer({ size: this.#bufferBytes(capacity), usage });
    try {
      for (const [i, layer] of layers.entries()) {
        for (const part of ['key', 'value'] as const) {
          const encoder = this.#device.createCommandEncoder();
          encoder.copyBufferToBuffer(layer[part], 0, staging, 0, staging.size);
          this.#device.queue.submit([encoder.finish()]);
          await staging.mapAsync(GPUMapMode.READ);
          const bytes = staging.getMappedRange().slice(0);
          staging.unmap();
          const rows = this.#elementBytes === 4 ? new Float32Array(bytes) : new Float16Array(bytes);
          for (let h = 0; h < kvHeads; h++) closeGap(rows, h * capacity * headDim, i, part);
          this.#device.queue.writeBuffer(layer[part], 0, bytes);
        }
      }
    } finally {
      staging.destroy();
    }
  }

  close(): void {
    if (this.#buffers) release(this.#buffers);
    this.#buffers = null;
  }

  get #rowBytes(): number {
    return this.#manifest.architecture.headDim * this.#elementBytes;
  }

  #bufferBytes(capacity: number): number {
    const bytes = this.#manifest.architecture.kvHeads * capacity * this.#rowBytes;
    return Math.ceil(bytes / 16) * 16;
  }

  /** Fresh buffers are zero, as WebGPU promises: never NaN, which a masked score would not hide. */
  async #allocate(capacity: number): Promise<CacheBuffers> {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const size = this.#bufferBytes(capacity);
    const buffer = (): GPUBuffer => this.#device.createBuffer({ size, usage });
    // A buffer that was too much is not null: it is invalid, and only the error scopes say so.
    this.#device.pushErrorScope('validation');
    this.#device.pushErrorScope('out-of-memory');
    const layers = this.#manifest.architecture.layers.map(() => ({ key: buffer(), value: buffer() }));
    const errors = [await this.#device.popErrorScope(), await this.#device.popErrorScope()];
    const error = errors.find((e) => e !== null);
    const buffers: CacheBuffers = { capacity, layers, captured: false, owner: this };
    if (!error) return buffers;
    release(buffers);
    throw new RangeError(`${2 * layers.length} buffers of ${size} bytes: ${error.message}`);
  }
}

function release(buffers: CacheBuffers): void {
  buffers.owner = null;
  if (buffers.captured) return;
  for (const { key, value } of buffers.layers) {
    key.destroy();
    value.destroy();
  }
}
