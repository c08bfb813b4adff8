// The KV cache in GPU buffers for the WebGPU target: the graphs read it where it lies, and their new rows are copied in
// on the device. Saves the upload of the whole cache at every step (25 MB for a 100 M model with 1024 slots) and the
// download of the new rows. There is no eviction here: the decoder then ingests what it keeps again.

import type { Manifest, ManifestPort } from '@baton/compiler';
import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import { ortType } from '../targets/onnx/buffers.ts';
import type { KvCache, NewRows } from '../targets/onnx/cache.ts';

interface LayerBuffers {
  key: GPUBuffer;
  value: GPUBuffer;
}

export class GpuCache implements KvCache {
  readonly #device: GPUDevice;
  readonly #Tensor: TensorConstructor;
  readonly #manifest: Manifest;
  readonly #elementBytes: number;
  #layers: LayerBuffers[];
  #capacity: number;

  constructor(
    device: GPUDevice,
    Tensor: TensorConstructor,
    manifest: Manifest,
    capacity: number,
    dtype: 'f32' | 'f16',
  ) {
    this.#device = device;
    this.#Tensor = Tensor;
    this.#manifest = manifest;
    this.#elementBytes = dtype === 'f32' ? 4 : 2;
    this.#capacity = capacity;
    this.#layers = this.#allocate(capacity);
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

  resize(capacity: number, live: number): void {
    const old = this.#layers;
    const next = this.#allocate(capacity);
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

  close(): void {
    this.#release(this.#layers);
    this.#layers = [];
  }

  get #rowBytes(): number {
    return this.#manifest.architecture.headDim * this.#elementBytes;
  }

  /** Fresh buffers are zero, as WebGPU promises: never NaN, which a masked score would not hide. */
  #allocate(capacity: number): LayerBuffers[] {
    const { kvHeads, layers } = this.#manifest.architecture;
    const size = kvHeads * capacity * this.#rowBytes;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = (): GPUBuffer => this.#device.createBuffer({ size: Math.ceil(size / 16) * 16, usage });
    return layers.map(() => ({ key: buffer(), value: buffer() }));
  }

  #release(layers: readonly LayerBuffers[]): void {
    for (const { key, value } of layers) {
      key.destroy();
      value.destroy();
    }
  }
}
