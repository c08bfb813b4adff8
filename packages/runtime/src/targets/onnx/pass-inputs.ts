// What the host gives to every graph of a pass: embedded tokens, RoPE rows and masks for a position, as numbers in host
// memory. Where they go from there (a tensor of the host, a buffer of a GPU) is the pass's matter.

import {
  maskRows,
  pastMask,
  ropeAt,
  ropeRows,
  slotRows,
  type Manifest,
  type ManifestGraph,
} from '@baton/compiler';
import type { ManifestPort } from '@baton/compiler/manifest';
import { RuntimeError } from '../../errors.ts';
import { elements, floatBuffer, type FloatBuffer } from './buffers.ts';
import { hasPort, port } from './graphs.ts';

export interface PassInput {
  spec: ManifestPort;
  data: FloatBuffer | Int32Array;
}

export class PassInputs {
  /** One buffer per input that the graphs share, by its name; `x` is the first graph's. */
  readonly buffers = new Map<string, PassInput>();
  readonly #graphs: readonly ManifestGraph[];
  readonly #x: FloatBuffer;
  readonly #fills: ((position: number, count: number) => void)[] = [];

  /** `graphs`: those of one length and capacity. */
  constructor(manifest: Manifest, graphs: readonly ManifestGraph[]) {
    this.#graphs = graphs;
    const { length } = graphs[0]!;
    const capacity = graphs[0]!.capacity!;
    this.#x = this.#bind('x')!;
    manifest.rope.forEach((rope, t) => {
      const cos = this.#bind(`cos.${t}`);
      const sin = this.#bind(`sin.${t}`);
      if (!cos || !sin) return;
      const table = ropeAt(rope, capacity);
      const rows = { cos: new Float32Array(cos.length), sin: new Float32Array(sin.length) };
      this.#fills.push((position) => {
        ropeRows(table, position, length, rows.cos, rows.sin);
        cos.set(rows.cos);
        sin.set(rows.sin);
      });
    });
    manifest.masks.forEach(({ window }, m) => {
      const mask = this.#bind(`mask.${m}`);
      if (!mask) return;
      const values = new Float32Array(elements({ dims: [maskRows(window, length), capacity] }));
      this.#fills.push((position) => mask.set(pastMask(window, position, length, capacity, values)));
    });
    const total = this.#bindCount('total');
    if (total) this.#fills.push((position) => (total[0] = position + length));
    // Where the new rows go, for graphs that write the cache themselves.
    const keep = this.#bind('keep') as Float32Array | null;
    const place = this.#bind('place') as Float32Array | null;
    if (keep && place)
      this.#fills.push((position, count) => slotRows(position, count, length, capacity, keep, place));
  }

  /** The inputs of `count` embedded rows (`x` f32 [count, hidden]) at slots from `position` on; the rest is padding. */
  fill(x: Float32Array, position: number, count: number): void {
    this.#x.set(x);
    this.#x.fill(0, x.length);
    for (const fill of this.#fills) fill(position, count);
  }

  #bind(name: string): FloatBuffer | null {
    const spec = this.#spec(name);
    if (!spec) return null;
    const data = floatBuffer(spec);
    this.buffers.set(name, { spec, data });
    return data;
  }

  #bindCount(name: string): Int32Array | null {
    const spec = this.#spec(name);
    if (!spec) return null;
    const data = new Int32Array(elements(spec));
    this.buffers.set(name, { spec, data });
    return data;
  }

  #spec(name: string): ManifestPort | null {
    const graph = this.#graphs.find((g) => hasPort(g, 'inputs', name));
    return graph ? port(graph, 'inputs', name) : null;
  }
}

/** Which part of the cache an input takes. Throws `bad-model` for an input that is none. */
export function pastPort(graph: ManifestGraph, name: string): { layer: number; part: 'key' | 'value' } {
  const past = /^past_(key|value)\.(\d+)$/.exec(name);
  if (!past)
    throw new RuntimeError(
      'bad-model',
      `${graph.file} wants an input "${name}" that this runtime does not know; update it`,
    );
  return { layer: Number(past[2]), part: past[1] as 'key' | 'value' };
}
