// The smallest honest host of a compiled model, for tests: does exactly the duties listed in src/manifest.ts, one after the
// other, with onnxruntime-node. No caching, no batching, no speed.
import * as ort from 'onnxruntime-node';
import path from 'node:path';
import {
  loadEmbedding,
  MANIFEST_FILE,
  parseManifest,
  pastMask,
  ropeRows,
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
  readonly #caches = new Map<string, Float32Array>();

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

  static async open(directory: string, capacity?: number): Promise<TestHost> {
    const files = new DirectoryFiles(directory);
    const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
    const slots = capacity ?? manifest.capacities[0]!;
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
    let x = new ort.Tensor('float32', embedded, [1, length, hiddenSize]);
    for (const graph of manifest.graphs) {
      const session = this.#sessions.get(graph);
      if (!session || graph.firstLayer === undefined || graph.length !== length) continue;
      const result = await session.run(this.#feeds(graph, x, position));
      for (let i = graph.firstLayer; i <= graph.lastLayer!; i++) {
        this.#store(`past_key.${i}`, result[`key.${i}`]!, position, tokens.length);
        this.#store(`past_value.${i}`, result[`value.${i}`]!, position, tokens.length);
      }
      x = result['y'] as typeof x;
    }
    return x;
  }

  #feeds(graph: ManifestGraph, x: ort.Tensor, position: number): Record<string, ort.Tensor> {
    const feeds: Record<string, ort.Tensor> = { x };
    for (const { name, dims } of graph.inputs) {
      const [kind, index] = name.split('.') as [string, string];
      const n = Number(index);
      let data: Float32Array | undefined;
      if (kind === 'cos' || kind === 'sin')
        data = ropeRows(this.manifest.rope[n]!, position, graph.length)[kind];
      else if (kind === 'mask') {
        data = pastMask(this.manifest.masks[n]!.window, position, graph.length, this.#capacity);
      } else if (kind.startsWith('past')) data = this.#cache(name, dims);
      if (data) feeds[name] = new ort.Tensor('float32', data, dims);
    }
    return feeds;
  }

  #cache(name: string, dims: readonly number[]): Float32Array {
    const cache = this.#caches.get(name) ?? new Float32Array(dims.reduce((n, d) => n * d, 1));
    this.#caches.set(name, cache);
    return cache;
  }

  #store(name: string, rows: ort.Tensor, position: number, count: number): void {
    const [, heads, length, width] = rows.dims as [number, number, number, number];
    const cache = this.#caches.get(name)!;
    const data = rows.data as Float32Array;
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
