// From hidden rows to what was asked about them: whole logits, or a few columns per row where the model has a graph for
// that and the target takes it.

import { WATCHED, type Manifest, type ManifestGraph } from '@baton/compiler';
import type { Tensor } from 'onnxruntime-common';
import type { ForwardResult, Wanted, WatchedRow } from '../../backend.ts';
import { watchRows } from '../../decoder.ts';
import { RuntimeError } from '../../errors.ts';
import { floatBuffer } from './buffers.ts';
import { headGraph, port } from './graphs.ts';
import { output, type GraphRunner } from './runner.ts';

export class Heads {
  readonly #manifest: Manifest;
  readonly #runner: GraphRunner;
  /** The head for one row, and the one for many where there is one. */
  readonly #one: ManifestGraph;
  readonly #many: ManifestGraph;

  constructor(manifest: Manifest, runner: GraphRunner) {
    this.#manifest = manifest;
    this.#runner = runner;
    const one = headGraph(manifest, 'head', 1);
    const many = headGraph(manifest, 'head', manifest.chunk);
    if (!one && !many)
      throw new RuntimeError('bad-model', 'baton.json lists no head graph; compile the model again');
    this.#one = (one ?? many)!;
    this.#many = (many ?? one)!;
  }

  async prepare(): Promise<void> {
    await this.#runner.prepare(this.#one);
  }

  /** `hidden` f32 [rows, hiddenSize], or a tensor of one row that the last layers left in the provider's memory. */
  async answer(
    given: Float32Array | Tensor,
    rows: number,
    wanted: Exclude<Wanted, 'none'>,
  ): Promise<ForwardResult> {
    const { hiddenSize, vocabSize } = this.#manifest.architecture;
    // A head for several rows takes padded ones, which the host writes.
    const hidden =
      given instanceof Float32Array || this.#one.length === 1 ? given : await this.#runner.numbers(given);
    const last = (): Promise<Float32Array> =>
      this.#logits(
        this.#one,
        hidden instanceof Float32Array ? hidden.subarray((rows - 1) * hiddenSize) : hidden,
        1,
      );
    if (wanted === 'last') return { logits: await last() };
    if (wanted !== 'all') {
      const graph = await this.#columnsGraph(rows, wanted.watch.length);
      if (graph)
        return { watched: await this.#columns(graph, hidden, rows, wanted.watch), logits: await last() };
    }
    const logits = await this.#logits(rows > 1 ? this.#many : this.#one, hidden, rows);
    if (wanted === 'all') return { logits };
    return {
      watched: watchRows(logits, rows, wanted.watch),
      logits: logits.subarray((rows - 1) * vocabSize),
    };
  }

  async #logits(graph: ManifestGraph, hidden: Float32Array | Tensor, rows: number): Promise<Float32Array> {
    const { hiddenSize, vocabSize } = this.#manifest.architecture;
    let out: Float32Array | undefined;
    for (let from = 0; from < rows; from += graph.length) {
      const count = Math.min(graph.length, rows - from);
      const x = this.#input(
        graph,
        hidden instanceof Float32Array
          ? hidden.subarray(from * hiddenSize, (from + count) * hiddenSize)
          : hidden,
      );
      const logits = output(await this.#runner.run(graph, { x }), 'logits', graph);
      if (count === rows) return this.#runner.kept(logits, count * vocabSize);
      out ??= new Float32Array(rows * vocabSize);
      out.set(logits.subarray(0, count * vocabSize), from * vocabSize);
      this.#runner.discard(logits);
    }
    return out!;
  }

  async #columnsGraph(rows: number, ids: number): Promise<ManifestGraph | undefined> {
    if (ids > WATCHED) return undefined;
    const single = rows === 1 ? headGraph(this.#manifest, 'columns', 1) : undefined;
    const graph = single ?? headGraph(this.#manifest, 'columns', this.#manifest.chunk);
    return graph && (await this.#runner.takes(graph)) ? graph : undefined;
  }

  async #columns(
    graph: ManifestGraph,
    given: Float32Array | Tensor,
    rows: number,
    ids: readonly number[],
  ): Promise<WatchedRow[]> {
    const hidden =
      given instanceof Float32Array || graph.length === 1 ? given : await this.#runner.numbers(given);
    const chosenIds = new Int32Array(WATCHED);
    chosenIds.set(ids);
    const feeds = {
      x: this.#input(graph, hidden),
      ids: this.#runner.tensor(port(graph, 'inputs', 'ids'), chosenIds),
    };
    const out = await this.#runner.run(graph, feeds);
    const chosen = output(out, 'chosen', graph);
    const lse = output(out, 'log_sum_exp', graph);
    const max = output(out, 'max', graph);
    const best = output(out, 'argmax', graph);
    return Array.from({ length: rows }, (_, r) => ({
      logprobs: ids.map((_id, i) => chosen[r * WATCHED + i]! - lse[r]!),
      argmax: best[r]!,
      argmaxLogprob: max[r]! - lse[r]!,
    }));
  }

  #input(graph: ManifestGraph, hidden: Float32Array | Tensor): Tensor {
    if (!(hidden instanceof Float32Array)) return hidden;
    const spec = port(graph, 'inputs', 'x');
    const x = floatBuffer(spec);
    x.set(hidden);
    return this.#runner.tensor(spec, x);
  }
}
