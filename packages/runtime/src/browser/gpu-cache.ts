// The KV cache in GPU buffers for the WebGPU target: the graphs read it where it lies, and their new rows are copied in
// on the device. Saves the upload of the whole cache at every step (25 MB for a 100 M model with 1024 slots) and the
// download of the new rows. Only sliding brings it to the host, once per many tokens, where the keys are turned back.

import type { Manifest, ManifestPort } from '@baton/compiler';
import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import { ortType } from '../targets/onnx/buffers.ts';
import { gapCloser, type KvCache, type NewRows } from '../targets/onnx/cache.ts';

interface LayerBuffers {
  key: GPUBuffer;
  value: GPUBuffer;
}

export class GpuCache implements KvCache {
  readonly #device: GPUDevice;
  readonly #Tensor: TensorConstructor;
  readonly #manifest: Manifest;
  readonly #elementBytes: number;
  #layers: LayerBuffers[] = [];
  #capacity = 0;

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
    cache.#layers = await cache.#allocate(capacity);
    cache.#capacity = capacity;
    return cache;
  }

  get capacity(): number {
    return this.#capacity;
  }

  input(spec: ManifestPort, layer: number, part: 'key' | 'value'): Tensor {
    const dataType = ortType(spec) as 'float32' | 'float16';
    return this.#Tensor.fromGpuBuffer(this.#layers[layer]![part], { dataType, dims: spec.dims });
  }

  store(rows: readonly NewRows[], length: number, slot: number, count: number): void {
    const encoder = this.#device.createCommandEncoder();
    const row = this.#rowBytes;
    for (const { layer, key, value } of rows) {
      for (const [from, to] of [
        [key, this.#layers[layer]!.key],
        [value, this.#layers[layer]!.value],
      ] as const) {
        for (let h = 0; h < this.#manifest.architecture.kvHeads; h++) {
          encoder.copyBufferToBuffer(
            from.gpuBuffer,
            h * length * row,
            to,
            (h * this.#capacity + slot) * row,
            count * row,
          );
        }
      }
    }
    this.#device.queue.submit([encoder.finish()]);
    // Copies were queued before these buffers return to ONNX Runtime's pool, and the queue keeps the order.
    for (const { key, value } of rows) {
      key.dispose();
      value.dispose();
    }
  }

  async resize(capacity: number, live: number): Promise<void> {
    const old = this.#layers;
    const next = await this.#allocate(capacity);
    const kept = live * this.#rowBytes;
    const encoder = this.#device.createCommandEncoder();
    const row = this.#rowBytes;
    old.forEach((layer, i) => {
      for (const part of ['key', 'value'] as const) {
        for (let h = 0; h < this.#manifest.architecture.kvHeads; h++) {
          const from = h * this.#capacity * row;
          encoder.copyBufferToBuffer(layer[part], from, next[i]![part], h * capacity * row, kept);
        }
      }
    });
    this.#device.queue.submit([encoder.finish()]);
    this.#release(old);
    this.#layers = next;
    this.#capacity = capacity;
  }

  async evict(from: number, count: number, live: number): Promise<void> {
    const { kvHeads, headDim } = this.#manifest.architecture;
    const closeGap = gapCloser(this.#manifest, this.#capacity, from, count, live);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.#device.createBuffer({ size: this.#bufferBytes(this.#capacity), usage });
    try {
      for (const [i, layer] of this.#layers.entries()) {
        for (const part of ['key', 'value'] as const) {
          const encoder = this.#device.createCommandEncoder();
          encoder.copyBufferToBuffer(layer[part], 0, staging, 0, staging.size);
          this.#device.queue.submit([encoder.finish()]);
          await staging.mapAsync(GPUMapMode.READ);
          const bytes = staging.getMappedRange().slice(0);
          staging.unmap();
          const rows = this.#elementBytes === 4 ? new Float32Array(bytes) : new Float16Array(bytes);
          for (let h = 0; h < kvHeads; h++) closeGap(rows, h * this.#capacity * headDim, i, part);
          this.#device.queue.writeBuffer(layer[part], 0, bytes);
        }
      }
    } finally {
      staging.destroy();
    }
  }

  close(): void {
    this.#release(this.#layers);
    this.#layers = [];
  }

  get #rowBytes(): number {
    return this.#manifest.architecture.headDim * this.#elementBytes;
  }

  #bufferBytes(capacity: number): number {
    const bytes = this.#manifest.architecture.kvHeads * capacity * this.#rowBytes;
    return Math.ceil(bytes / 16) * 16;
  }

  /** Fresh buffers are zero, as WebGPU promises: never NaN, which a masked score would not hide. */
  async #allocate(capacity: number): Promise<LayerBuffers[]> {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const size = this.#bufferBytes(capacity);
    const buffer = (): GPUBuffer => this.#device.createBuffer({ size, usage });
    // A buffer that was too much is not null: it is invalid, and only the error scopes say so.
    this.#device.pushErrorScope('validation');
    this.#device.pushErrorScope('out-of-memory');
    const layers = this.#manifest.architecture.layers.map(() => ({ key: buffer(), value: buffer() }));
    const errors = [await this.#device.popErrorScope(), await this.#device.popErrorScope()];
    const error = errors.find((e) => e !== null);
    if (!error) return layers;
    this.#release(layers);
    throw new RangeError(`${2 * layers.length} buffers of ${size} bytes: ${error.message}`);
  }

  #release(layers: readonly LayerBuffers[]): void {
    for (const { key, value } of layers) {
      key.destroy();
      value.destroy();
    }
  }
}
