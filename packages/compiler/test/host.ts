// The smallest honest host of a compiled model, for tests: does exactly the duties listed in src/manifest.ts, one after the
// other, with onnxruntime-node. No caching, no batching, no speed.
import * as ort from 'onnxruntime-node';
import path from 'node:path';
import {
  loadEmbedding,
  MANIFEST_FILE,
  parseManifest,
  pastMask,
  ropeAt,
  ropeRows,
  slotRows,
  WATCHED,
  type Embedding,
  type Manifest,
  type ManifestGraph,
} from '../src/index.ts';
import { DirectoryFiles } from '../src/node/index.ts';

export class TestHost {
  readonly manifest: Manifest;
  readonly #embedding: Embedding;
  readonly #sessions: Map<ManifestGraph, ort.InferenceSession>;
  readonly #capacity: number;
  readonly #caches = new Map<string, Float32Array | Float16Array>();

  private constructor(
    manifest: Manifest,
    embedding: Embedding,
    sessions: Map<ManifestGraph, ort.InferenceSession>,
    capacity: number,
  ) {
    this.manifest = manifest;
    this.#embedding = embedding;
    this.#sessions = sessions;
    this.#capacity = capacity;
  }

  /** With a cache of `capacity` slots; default: the largest compiled. */
  static async open(directory: string, capacity?: number): Promise<TestHost> {
    const files = new DirectoryFiles(directory);
    const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
    const slots = capacity ?? manifest.capacities.at(-1)!;
    const sessions = new Map<ManifestGraph, ort.InferenceSession>();
    for (const graph of manifest.graphs) {
      if (graph.capacity !== undefined && graph.capacity !== slots) continue;
      const options = { intraOpNumThreads: 1, logSeverityLevel: 3 } as const;
      sessions.set(graph, await ort.InferenceSession.create(path.join(directory, graph.file), options));
    }
    return new TestHost(manifest, await loadEmbedding(manifest, files), sessions, slots);
  }

  /** Logits [tokens][vocab] of `tokens` at slots from `position` on, in chunks as long as the graphs allow. */
  async forward(tokens: readonly number[], position: number): Promise<Float32Array[]> {
    const out: Float32Array[] = [];
    const { chunk } = this.manifest;
    for (let at = 0; at < tokens.length;) {
      const part = tokens.slice(at, at + chunk);
      const y = await this.#layers(part, position + at);
      out.push(...(await this.#head(y, part.length)));
      at += part.length;
    }
    return out;
  }

  /** The columns graph at each of at most `chunk` tokens. */
  async columns(tokens: readonly number[], position: number, ids: readonly number[]) {
    const y = await this.#layers(tokens, position);
    const padded = Int32Array.from({ length: WATCHED }, (_, i) => ids[i] ?? ids[0]!);
    const graph = this.#graph('columns', y.dims[1]!);
    const result = await this.#sessions
      .get(graph)!
      .run({ x: y, ids: new ort.Tensor('int32', padded, [WATCHED]) });
    return tokens.map((_, r) => ({
      chosen: ids.map((_, i) => Number(result['chosen']!.data[r * WATCHED + i])),
      logSumExp: Number(result['log_sum_exp']!.data[r]),
      argmax: Number(result['argmax']!.data[r]),
      max: Number(result['max']!.data[r]),
    }));
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release();
  }

  async #layers(tokens: readonly number[], position: number): Promise<ort.Tensor> {
    const { manifest } = this;
    const length = tokens.length === 1 ? 1 : manifest.chunk;
    const { hiddenSize } = manifest.architecture;
    const embedded = new Float32Array(length * hiddenSize);
    tokens.forEach((id, r) => this.#embedding.embed(id, embedded, r * hiddenSize));
    let x = tensor(embedded, [1, length, hiddenSize], manifest.boundary);
    for (const graph of manifest.graphs) {
      const session = this.#sessions.get(graph);
      if (!session || graph.firstLayer === undefined || graph.length !== length) continue;
      const result = await session.run(this.#feeds(graph, x, position, tokens.length));
      for (let i = graph.firstLayer; i <= graph.lastLayer!; i++) {
        for (const part of ['key', 'value']) {
          const whole = result[`next_${part}.${i}`];
          if (whole) this.#caches.set(`past_${part}.${i}`, floats(whole));
          else this.#store(`past_${part}.${i}`, result[`${part}.${i}`]!, position, tokens.length);
        }
      }
      x = tensor(floats(result['y']!), result['y']!.dims, manifest.boundary);
    }
    return x;
  }

  #feeds(graph: ManifestGraph, x: ort.Tensor, position: number, count: number): Record<string, ort.Tensor> {
    const feeds: Record<string, ort.Tensor> = { x };
    for (const { name, dims, dtype } of graph.inputs) {
      const [kind, index] = name.split('.') as [string, string];
      const n = Number(index);
      let data: Float32Array | Float16Array | undefined;
      if (kind === 'cos' || kind === 'sin')
        data = ropeRows(ropeAt(this.manifest.rope[n]!, this.#capacity), position, graph.length)[kind];
      else if (kind === 'mask') {
        data = pastMask(this.manifest.masks[n]!.window, position, graph.length, this.#capacity);
      } else if (kind === 'keep' || kind === 'place') {
        data = slotRows(position, count, graph.length, this.#capacity)[kind];
      } else if (kind === 'picked') {
        feeds[name] = new ort.Tensor(
          'int32',
          Int32Array.from({ length: graph.length }, (_, r) => r),
          dims,
        );
      } else if (kind === 'total') {
        feeds[name] = new ort.Tensor('int32', Int32Array.of(position + graph.length), dims);
      } else if (kind.startsWith('past')) data = this.#cache(name, dims, dtype);
      if (data) feeds[name] = tensor(data, dims, dtype);
    }
    return feeds;
  }

  #cache(name: string, dims: readonly number[], dtype: string): Float32Array | Float16Array {
    const size = dims.reduce((n, d) => n * d, 1);
    const cache =
      this.#caches.get(name) ?? (dtype === 'f16' ? new Float16Array(size) : new Float32Array(size));
    this.#caches.set(name, cache);
    return cache;
  }

  #store(name: string, rows: ort.Tensor, position: number, count: number): void {
    const [, heads, length, width] = rows.dims as [number, number, number, number];
    const cache = this.#caches.get(name)!;
    const data = floats(rows);
    for (let h = 0; h < heads; h++) {
      const from = h * length * width;
      cache.set(data.subarray(from, from + count * width), (h * this.#capacity + position) * width);
    }
  }

  async #head(y: ort.Tensor, count: number): Promise<Float32Array[]> {
    const { logits } = await this.#sessions.get(this.#graph('head', y.dims[1]!))!.run({ x: y });
    const data = logits!.data as Float32Array;
    const { vocabSize } = this.manifest.architecture;
    return Array.from({ length: count }, (_, r) => data.slice(r * vocabSize, (r + 1) * vocabSize));
  }

  #graph(role: ManifestGraph['role'], length: number): ManifestGraph {
    return this.manifest.graphs.find((g) => g.role === role && g.length === length)!;
  }
}

/**
 * A tensor of the port's type. onnxruntime-node 1.30 reads f16 from a Uint16Array, but onnxruntime-common makes it a
 * Float16Array wherever there is one; so the type is put on behind its back.
 */
function tensor(values: Float32Array | Float16Array, dims: readonly number[], dtype: string): ort.Tensor {
  if (dtype !== 'f16') return new ort.Tensor('float32', values as Float32Array, dims);
  const halves = values instanceof Float16Array ? values : new Float16Array(values);
  const bits = new Uint16Array(halves.buffer, halves.byteOffset, halves.length);
  return Object.assign(new ort.Tensor('uint16', bits, dims), { type: 'float16' }) as unknown as ort.Tensor;
}

/** An output's numbers, f16 as such. */
function floats(t: ort.Tensor): Float32Array | Float16Array {
  const data = t.data as Float32Array | Float16Array | Uint16Array;
  return data instanceof Uint16Array ? new Float16Array(data.buffer, data.byteOffset, data.length) : data;
}
