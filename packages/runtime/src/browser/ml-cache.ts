// The KV cache in the tensors of a WebNN context, for graphs that return their whole updated cache: what a step gives is the
// next step's input, so that no cache crosses to the host and back (25 MB each way at every step for a 100 M model with
// 1024 slots). Growing and sliding, once per many tokens, go through the host.

import type { Manifest, ManifestPort } from '@baton/compiler';
import type { Tensor, TensorConstructor } from 'onnxruntime-common';
import { RuntimeError } from '../errors.ts';
import { floatBuffer, ortType, type FloatBuffer } from '../targets/onnx/buffers.ts';
import { gapCloser, type KvCache, type NewRows } from '../targets/onnx/cache.ts';

/** The part of WebNN's MLContext that is used here. */
export interface MlContext {
  createTensor(descriptor: {
    dataType: 'float32' | 'float16';
    shape: readonly number[];
    readable: boolean;
    writable: boolean;
  }): Promise<MlTensor>;
  writeTensor(tensor: MlTensor, data: BufferSource): void;
  readTensor(tensor: MlTensor): Promise<ArrayBuffer>;
  destroy?(): void;
}

interface MlTensor {
  destroy(): void;
}

interface LayerTensors {
  key: Tensor;
  value: Tensor;
}

export class MlCache implements KvCache {
  readonly #context: MlContext;
  readonly #Tensor: TensorConstructor;
  readonly #manifest: Manifest;
  readonly #dtype: 'f32' | 'f16';
  #layers: LayerTensors[] = [];
  #capacity: number;

  private constructor(
    context: MlContext,
    Tensor: TensorConstructor,
    manifest: Manifest,
    capacity: number,
    dtype: 'f32' | 'f16',
  ) {
    this.#context = context;
    this.#Tensor = Tensor;
    this.#manifest = manifest;
    this.#capacity = capacity;
    this.#dtype = dtype;
  }

  /** Throws where the context has no memory for it. */
  static async create(
    context: MlContext,
    Tensor: TensorConstructor,
    manifest: Manifest,
    capacity: number,
    dtype: 'f32' | 'f16',
  ): Promise<MlCache> {
    const cache = new MlCache(context, Tensor, manifest, capacity, dtype);
    cache.#layers = await cache.#allocate(async () => cache.#zeros(capacity));
    return cache;
  }

  get capacity(): number {
    return this.#capacity;
  }

  input(_spec: ManifestPort, layer: number, part: 'key' | 'value'): Tensor {
    return this.#layers[layer]![part];
  }

  store(): void {
    throw new RuntimeError('bad-model', 'a cache of WebNN tensors takes graphs that write the whole cache');
  }

  replace(layers: readonly NewRows[]): void {
    for (const { layer, key, value } of layers) {
      const old = this.#layers[layer]!;
      this.#layers[layer] = { key, value };
      old.key.dispose();
      old.value.dispose();
    }
  }

  async resize(capacity: number, live: number): Promise<void> {
    const { kvHeads, headDim } = this.#manifest.architecture;
    const old = this.#capacity;
    await this.#change(capacity, (rows, grown) => {
      for (let h = 0; h < kvHeads; h++) {
        const from = h * old * headDim;
        grown.set(rows.subarray(from, from + live * headDim), h * capacity * headDim);
      }
    });
  }

  async evict(from: number, count: number, live: number): Promise<void> {
    const { kvHeads, headDim } = this.#manifest.architecture;
    const closeGap = gapCloser(this.#manifest, this.#capacity, from, count, live);
    await this.#change(this.#capacity, (rows, next, layer, part) => {
      for (let h = 0; h < kvHeads; h++) closeGap(rows, h * this.#capacity * headDim, layer, part);
      next.set(rows);
    });
  }

  close(): void {
    for (const { key, value } of this.#layers) {
      key.dispose();
      value.dispose();
    }
    this.#layers = [];
  }

  /** New tensors whose numbers `make` writes from the old ones; all of them before the first old one goes. */
  async #change(
    capacity: number,
    make: (rows: FloatBuffer, next: FloatBuffer, layer: number, part: 'key' | 'value') => void,
  ): Promise<void> {
    const next = await this.#allocate(async (layer) => {
      const numbers = this.#zeros(capacity);
      for (const part of ['key', 'value'] as const) {
        // A copy: what a tensor downloaded it may keep.
        const rows = ((await this.#layers[layer]![part].getData()) as FloatBuffer).slice();
        make(rows, numbers[part], layer, part);
      }
      return numbers;
    });
    this.close();
    this.#layers = next;
    this.#capacity = capacity;
  }

  /** Tensors of all layers with these numbers; where one cannot be had, those that could are given back. */
  async #allocate(
    numbers: (layer: number) => Promise<{ key: FloatBuffer; value: FloatBuffer }>,
  ): Promise<LayerTensors[]> {
    const made: Tensor[] = [];
    try {
      const layers: LayerTensors[] = [];
      for (const index of this.#manifest.architecture.layers.keys()) {
        const { key, value } = await numbers(index);
        for (const part of [key, value]) made.push(await this.#tensor(part));
        layers.push({ key: made.at(-2)!, value: made.at(-1)! });
      }
      return layers;
    } catch (error) {
      for (const tensor of made) tensor.dispose();
      throw error;
    }
  }

  #zeros(capacity: number): { key: FloatBuffer; value: FloatBuffer } {
    const spec = { name: 'cache', dtype: this.#dtype, dims: this.#dims(capacity) };
    return { key: floatBuffer(spec), value: floatBuffer(spec) };
  }

  async #tensor(numbers: FloatBuffer): Promise<Tensor> {
    const { kvHeads, headDim } = this.#manifest.architecture;
    const dims = this.#dims(numbers.length / (kvHeads * headDim));
    const dataType = ortType({ dtype: this.#dtype }) as 'float32' | 'float16';
    const context = this.#context;
    const tensor = await context.createTensor({ dataType, shape: dims, readable: true, writable: true });
    context.writeTensor(tensor, numbers as BufferSource);
    return this.#Tensor.fromMLTensor(tensor as never, {
      dataType,
      dims,
      download: async () => {
        const bytes = await context.readTensor(tensor);
        return (dataType === 'float16' ? new Float16Array(bytes) : new Float32Array(bytes)) as never;
      },
      dispose: () => tensor.destroy(),
    });
  }

  /** As the graphs declare it. */
  #dims(capacity: number): number[] {
    const { kvHeads, headDim } = this.#manifest.architecture;
    return [1, kvHeads, capacity, headDim];
  }
}
