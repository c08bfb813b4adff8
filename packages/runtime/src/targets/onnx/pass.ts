// One length (L) at one capacity: the layer graphs in order over inputs that lie on the host. Runs them over a cache and
// stores the new rows.

import type { Manifest, ManifestGraph } from '@baton/compiler';
import type { Tensor } from 'onnxruntime-common';
import type { FloatBuffer } from './buffers.ts';
import type { KvCache } from './cache.ts';
import { hasPort, layerGraphs, port } from './graphs.ts';
import { PassInputs, pastPort } from './pass-inputs.ts';
import { output, type GraphRunner } from './runner.ts';

export class Pass {
  readonly length: number;
  readonly #runner: GraphRunner;
  readonly #graphs: readonly ManifestGraph[];
  readonly #inputs: PassInputs;
  readonly #feeds: Record<string, Tensor>;
  /** The graphs return whole updated caches instead of new rows. */
  readonly #whole: boolean;
  /** The last graph computes on with the rows that are asked for only. */
  readonly #picks: boolean;

  private constructor(manifest: Manifest, runner: GraphRunner, graphs: readonly ManifestGraph[]) {
    this.#runner = runner;
    this.#graphs = graphs;
    this.length = graphs[0]!.length;
    this.#whole = manifest.cacheUpdate === 'whole';
    this.#picks = hasPort(graphs.at(-1)!, 'inputs', 'picked');
    this.#inputs = new PassInputs(manifest, graphs);
    this.#feeds = Object.fromEntries(
      [...this.#inputs.buffers].map(([name, { spec, data }]) => [name, runner.tensor(spec, data)]),
    );
  }

  static async open(
    manifest: Manifest,
    runner: GraphRunner,
    role: 'prefill' | 'decode',
    capacity: number,
  ): Promise<Pass> {
    const graphs = layerGraphs(manifest, role, capacity);
    for (const graph of graphs) await runner.prepare(graph);
    return new Pass(manifest, runner, graphs);
  }

  /**
   * Runs `count` embedded rows (`x` f32 [count, hidden], count <= length) at slots from `position` on, and stores their
   * keys and values when the whole network has run: a failure half-way leaves the cache as it was. Gives the last hidden
   * state of at least the rows from `wantedFrom` on (at most count - 1), and where the first of those lies in it. It is the caller's to
   * discard.
   */
  async run(
    cache: KvCache,
    x: Float32Array,
    count: number,
    position: number,
    wantedFrom: number,
  ): Promise<{ y: FloatBuffer; row: number }> {
    this.#inputs.fill(x, position, count);
    const picked = this.#picks ? this.#pick(wantedFrom, count) : null;
    let y: FloatBuffer | null = null;
    const rows: { layer: number; key: Tensor; value: Tensor }[] = [];
    for (const graph of this.#graphs) {
      const feeds: Record<string, Tensor> = {};
      for (const { name } of graph.inputs)
        feeds[name] = name === 'picked' && picked ? picked : this.#input(cache, name, graph, y);
      const out = await this.#runner.run(graph, feeds);
      if (y) this.#runner.discard(y);
      y = output(out, 'y', graph);
      for (let layer = graph.firstLayer!; layer <= graph.lastLayer!; layer++) {
        const [key, value] = this.#whole ? ['next_key', 'next_value'] : ['key', 'value'];
        rows.push({ layer, key: out[`${key}.${layer}`]!, value: out[`${value}.${layer}`]! });
      }
    }
    if (this.#whole) cache.replace!(rows);
    else {
      cache.store(rows, this.length, position, count);
      for (const tensor of rows.flatMap(({ key, value }) => [key, value])) {
        if (tensor.location === 'cpu') this.#runner.discard(tensor.data as FloatBuffer);
      }
    }
    return { y: y!, row: picked ? 0 : wantedFrom };
  }

  /** The numbers of the rows from `from` on. */
  #pick(from: number, count: number): Tensor {
    const rows = Int32Array.from({ length: count - from }, (_, r) => from + r);
    const { dtype } = port(this.#graphs.at(-1)!, 'inputs', 'picked');
    return this.#runner.tensor({ dtype, dims: [rows.length] }, rows);
  }

  /** `y`: what the graph before this one gave; null for the first. */
  #input(cache: KvCache, name: string, graph: ManifestGraph, y: FloatBuffer | null): Tensor {
    const spec = port(graph, 'inputs', name);
    if (name === 'x' && y) return this.#runner.tensor(spec, y);
    const fixed = this.#feeds[name];
    if (fixed) return fixed;
    const { layer, part } = pastPort(graph, name);
    return cache.input(spec, layer, part);
  }
}
