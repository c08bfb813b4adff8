// One length (L) at one capacity: the layer graphs in order, the input buffers they share, and the host's part of a pass
// (RoPE rows and masks for a position). Runs them over a cache and stores the new rows.

import {
  maskRows,
  pastMask,
  ropeAt,
  ropeRows,
  slotRows,
  type Manifest,
  type ManifestGraph,
} from '@baton/compiler';
import type { Tensor } from 'onnxruntime-common';
import { RuntimeError } from '../../errors.ts';
import { elements, floatBuffer, type FloatBuffer } from './buffers.ts';
import type { KvCache } from './cache.ts';
import { hasPort, layerGraphs, port } from './graphs.ts';
import { output, type GraphRunner } from './runner.ts';

export class Pass {
  readonly length: number;
  readonly #runner: GraphRunner;
  readonly #graphs: readonly ManifestGraph[];
  readonly #x: FloatBuffer;
  readonly #feeds: Record<string, Tensor> = {};
  readonly #fills: ((position: number, count: number) => void)[] = [];
  /** The graphs return whole updated caches instead of new rows. */
  readonly #whole: boolean;

  private constructor(manifest: Manifest, runner: GraphRunner, graphs: readonly ManifestGraph[]) {
    this.#runner = runner;
    this.#graphs = graphs;
    this.length = graphs[0]!.length;
    this.#whole = manifest.cacheUpdate === 'whole';
    this.#x = this.#bind('x')!;
    manifest.rope.forEach((rope, t) => {
      const cos = this.#bind(`cos.${t}`);
      const sin = this.#bind(`sin.${t}`);
      if (!cos || !sin) return;
      const table = ropeAt(rope, graphs[0]!.capacity!);
      this.#fills.push((position) => {
        const rows = ropeRows(table, position, this.length);
        cos.set(rows.cos);
        sin.set(rows.sin);
      });
    });
    manifest.masks.forEach(({ window }, m) => {
      const mask = this.#bind(`mask.${m}`);
      if (!mask) return;
      const capacity = graphs[0]!.capacity!;
      const values = new Float32Array(elements({ dims: [maskRows(window, this.length), capacity] }));
      this.#fills.push((position) => mask.set(pastMask(window, position, this.length, capacity, values)));
    });
    this.#bindSlots(graphs[0]!.capacity!);
  }

  /** Where the new rows go, for graphs that write the cache themselves. */
  #bindSlots(capacity: number): void {
    const keep = this.#bind('keep') as Float32Array | null;
    const place = this.#bind('place') as Float32Array | null;
    if (!keep || !place) return;
    this.#fills.push((position, count) => slotRows(position, count, this.length, capacity, keep, place));
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
   * state [length, hidden]; rows from `count` on are padding.
   */
  async run(cache: KvCache, x: Float32Array, count: number, position: number): Promise<FloatBuffer> {
    this.#x.fill(0);
    this.#x.set(x);
    for (const fill of this.#fills) fill(position, count);
    let y: FloatBuffer = this.#x;
    const rows: { layer: number; key: Tensor; value: Tensor }[] = [];
    for (const graph of this.#graphs) {
      const feeds: Record<string, Tensor> = {};
      for (const { name } of graph.inputs) feeds[name] = this.#input(cache, name, graph, y);
      const out = await this.#runner.run(graph, feeds);
      y = output(out, 'y', graph);
      for (let layer = graph.firstLayer!; layer <= graph.lastLayer!; layer++) {
        const [key, value] = this.#whole ? ['next_key', 'next_value'] : ['key', 'value'];
        rows.push({ layer, key: out[`${key}.${layer}`]!, value: out[`${value}.${layer}`]! });
      }
    }
    if (this.#whole) cache.replace!(rows);
    else cache.store(rows, this.length, position, count);
    return y;
  }

  #input(cache: KvCache, name: string, graph: ManifestGraph, y: FloatBuffer): Tensor {
    const spec = port(graph, 'inputs', name);
    const fixed = this.#feeds[name];
    if (name === 'x') return y === this.#x ? fixed! : this.#runner.tensor(spec, y);
    if (fixed) return fixed;
    const past = /^past_(key|value)\.(\d+)$/.exec(name);
    if (!past)
      throw new RuntimeError(
        'bad-model',
        `${graph.file} wants an input "${name}" that this runtime does not know; update it`,
      );
    return cache.input(spec, Number(past[2]), past[1] as 'key' | 'value');
  }

  /** A buffer for an input that all graphs of the pass share; null where none has it. */
  #bind(name: string): FloatBuffer | null {
    const graph = this.#graphs.find((g) => hasPort(g, 'inputs', name));
    if (!graph) return null;
    const spec = port(graph, 'inputs', name);
    const buffer = floatBuffer(spec);
    this.#feeds[name] = this.#runner.tensor(spec, buffer);
    return buffer;
  }
}
