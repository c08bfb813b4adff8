// A backend over ONNX Runtime sessions, in Node and in the browser alike: opens the graphs of a compiled model and does
// the host's duties around them (manifest.ts lists them). Which runtime and which execution provider is its caller's
// choice, given as `OnnxHost`.

import {
  loadEmbedding,
  maskRows,
  pastMask,
  ropeRows,
  WATCHED,
  type Embedding,
  type Manifest,
  type ManifestGraph,
  type ModelFiles,
} from '@baton/compiler';
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';
import {
  BackendLostError,
  type Backend,
  type ForwardResult,
  type Sequence,
  type TargetId,
  type Wanted,
} from '../../backend.ts';
import { watchRows } from '../../decoder.ts';
import { RuntimeError, messageOf } from '../../errors.ts';
import { Mutex } from '../../mutex.ts';
import { asFloat32, elements, floatBuffer, ortType, type FloatBuffer } from './buffers.ts';
import { HostCache } from './cache.ts';
import { hasPort, headGraph, layerGraphs, port } from './graphs.ts';

export interface OnnxHost {
  readonly target: TargetId;
  readonly Tensor: TensorConstructor;
  /** Opens a session on the target's provider only; throws `target-refused` where a node would run elsewhere. */
  open(graph: ManifestGraph): Promise<InferenceSession>;
  /** Tokens from which one padded prefill chunk is cheaper than that many decode steps. */
  readonly chunkFrom: number;
  readonly describe: string;
  close?(): Promise<void>;
}

interface Stage {
  graph: ManifestGraph;
  session: InferenceSession;
}

/** The sessions and input buffers for one length (L) at one capacity. */
interface Pass {
  length: number;
  stages: Stage[];
  x: FloatBuffer;
  feeds: Record<string, Tensor>;
  fill(position: number): void;
}

export class OnnxBackend implements Backend {
  readonly target: TargetId;
  readonly vocabSize: number;
  readonly maxRows: number;
  readonly capacities: readonly number[];
  readonly description: string;
  readonly #host: OnnxHost;
  readonly #manifest: Manifest;
  readonly #embedding: Embedding;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();
  readonly #passes = new Map<string, Promise<Pass>>();
  readonly #turn = new Mutex();
  #closed = false;

  private constructor(host: OnnxHost, manifest: Manifest, embedding: Embedding) {
    this.#host = host;
    this.#manifest = manifest;
    this.#embedding = embedding;
    this.target = host.target;
    this.vocabSize = manifest.architecture.vocabSize;
    this.maxRows = manifest.chunk;
    this.capacities = manifest.capacities;
    this.description = host.describe;
  }

  /** Opens the smallest capacity's graphs at once, so that a target that cannot run them fails here. */
  static async open(host: OnnxHost, manifest: Manifest, files: ModelFiles): Promise<OnnxBackend> {
    const backend = new OnnxBackend(host, manifest, await loadEmbedding(manifest, files));
    try {
      await backend.#prepare(manifest.capacities[0]!);
      return backend;
    } catch (error) {
      await backend.close().catch(() => undefined);
      throw error;
    }
  }

  async createSequence(capacity?: number): Promise<Sequence> {
    const chosen = capacity === undefined ? this.capacities[0]! : this.capacities.find((c) => c >= capacity);
    if (chosen === undefined) {
      throw new RuntimeError(
        'context-full',
        `no capacity of ${capacity} slots: the model was compiled for at most ${this.capacities.at(-1)}`,
      );
    }
    await this.#prepare(chosen);
    const first = layerGraphs(this.#manifest, 'decode', chosen)[0]!;
    const dtype = port(first, 'inputs', 'past_key.0').dtype === 'f16' ? 'f16' : 'f32';
    const cache = new HostCache(this.#manifest, chosen, dtype);
    return {
      get capacity() {
        return cache.capacity;
      },
      forward: (tokens, position, wanted) =>
        this.#turn.run(() => this.#forward(cache, tokens, position, wanted)),
      resize: (next, live) =>
        this.#turn.run(async () => {
          await this.#prepare(next);
          cache.resize(next, live);
        }),
      evict: (from, count, live) => this.#turn.run(async () => cache.evict(from, count, live)),
      close: async () => {
        cache.layers.length = 0;
      },
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#turn.run(async () => {
      const opened = await Promise.allSettled(this.#sessions.values());
      for (const session of opened) if (session.status === 'fulfilled') await session.value.release();
      await this.#host.close?.();
    });
  }

  async #prepare(capacity: number): Promise<void> {
    await this.#pass('decode', capacity);
    await this.#pass('prefill', capacity);
    const head = headGraph(this.#manifest, 'head', 1) ?? headGraph(this.#manifest, 'head', this.maxRows);
    if (!head) throw new RuntimeError('bad-model', 'baton.json lists no head graph; compile the model again');
    await this.#session(head);
  }

  async #forward(
    cache: HostCache,
    tokens: readonly number[],
    position: number,
    wanted: Wanted,
  ): Promise<ForwardResult> {
    if (this.#closed) throw new RuntimeError('closed', `${this.target}: the model is closed`);
    const { hiddenSize } = this.#manifest.architecture;
    const hidden: Float32Array[] = [];
    const run = async (pass: Pass, from: number, count: number): Promise<void> => {
      const y = await this.#layers(pass, cache, tokens.slice(from, from + count), position + from);
      hidden.push(y.subarray(0, count * hiddenSize).slice());
    };
    if (tokens.length >= this.#host.chunkFrom && tokens.length > 1) {
      await run(await this.#pass('prefill', cache.capacity), 0, tokens.length);
    } else {
      const decode = await this.#pass('decode', cache.capacity);
      for (let i = 0; i < tokens.length; i++) await run(decode, i, 1);
    }
    if (wanted === 'none') return {};
    const rows = tokens.length;
    const all = joinRows(hidden);
    const last = all.subarray((rows - 1) * hiddenSize);
    if (wanted === 'last') return { logits: await this.#head(last, 1) };
    if (wanted === 'all') return { logits: await this.#head(all, rows) };
    const columns = wanted.watch.length <= WATCHED ? await this.#columnsGraph(rows) : undefined;
    if (columns)
      return {
        watched: await this.#columns(columns, all, rows, wanted.watch),
        logits: await this.#head(last, 1),
      };
    const logits = await this.#head(all, rows);
    return {
      watched: watchRows(logits, rows, wanted.watch),
      logits: logits.subarray((rows - 1) * this.vocabSize),
    };
  }

  /** Runs the layer graphs over one padded chunk or one token, stores the new rows, gives the last hidden state. */
  async #layers(
    pass: Pass,
    cache: HostCache,
    tokens: readonly number[],
    position: number,
  ): Promise<Float32Array> {
    const { hiddenSize } = this.#manifest.architecture;
    const x = new Float32Array(pass.length * hiddenSize);
    tokens.forEach((token, r) => this.#embedding.embed(token, x, r * hiddenSize));
    pass.x.set(x);
    pass.fill(position);
    let y: FloatBuffer = pass.x;
    const rows: [FloatBuffer, FloatBuffer][] = [];
    for (const { graph, session } of pass.stages) {
      const feeds: Record<string, Tensor> = {};
      for (const input of graph.inputs) feeds[input.name] = this.#input(pass, cache, input.name, graph, y);
      const out = await this.#run(session, feeds, graph.file);
      y = floats(out.y, graph.file);
      for (let i = graph.firstLayer!; i <= graph.lastLayer!; i++) {
        rows[i] = [floats(out[`key.${i}`], graph.file), floats(out[`value.${i}`], graph.file)];
      }
    }
    // Only when the whole network has run: a failure half-way leaves the cache as it was.
    rows.forEach(([key, value], i) => {
      const layer = cache.layers[i]!;
      cache.write(layer.key, key, pass.length, position, tokens.length);
      cache.write(layer.value, value, pass.length, position, tokens.length);
    });
    return asFloat32(y);
  }

  #input(pass: Pass, cache: HostCache, name: string, graph: ManifestGraph, y: FloatBuffer): Tensor {
    const fixed = pass.feeds[name];
    if (fixed && (name !== 'x' || y === pass.x)) return fixed;
    const spec = port(graph, 'inputs', name);
    if (name === 'x') return this.#tensor(spec, y);
    const layer = /^past_(key|value)\.(\d+)$/.exec(name);
    if (!layer)
      throw new RuntimeError(
        'bad-model',
        `${graph.file} wants an input "${name}" that this runtime does not know; update it`,
      );
    return this.#tensor(spec, cache.layers[Number(layer[2])]![layer[1] as 'key' | 'value']);
  }

  /** Logits f32 [rows, vocab] of hidden rows. */
  async #head(hidden: Float32Array, rows: number): Promise<Float32Array> {
    const graph =
      (rows > 1 ? headGraph(this.#manifest, 'head', this.maxRows) : undefined) ??
      headGraph(this.#manifest, 'head', 1) ??
      headGraph(this.#manifest, 'head', this.maxRows)!;
    const out = new Float32Array(rows * this.vocabSize);
    const { hiddenSize } = this.#manifest.architecture;
    for (let from = 0; from < rows; from += graph.length) {
      const count = Math.min(graph.length, rows - from);
      const { logits } = await this.#project(
        graph,
        hidden.subarray(from * hiddenSize, (from + count) * hiddenSize),
      );
      out.set(
        asFloat32(floats(logits, graph.file)).subarray(0, count * this.vocabSize),
        from * this.vocabSize,
      );
    }
    return out;
  }

  /** The columns graph for so many rows; undefined where the target does not take it, then whole logits are reduced. */
  async #columnsGraph(rows: number): Promise<ManifestGraph | undefined> {
    const graph =
      (rows === 1 ? headGraph(this.#manifest, 'columns', 1) : undefined) ??
      headGraph(this.#manifest, 'columns', this.maxRows);
    if (!graph) return undefined;
    try {
      await this.#session(graph);
      return graph;
    } catch (error) {
      if (error instanceof RuntimeError && error.code === 'target-refused') return undefined;
      throw error;
    }
  }

  async #columns(
    graph: ManifestGraph,
    hidden: Float32Array,
    rows: number,
    ids: readonly number[],
  ): Promise<ForwardResult['watched'] & {}> {
    const chosenIds = new Int32Array(WATCHED);
    chosenIds.set(ids);
    const extra = { ids: new this.#host.Tensor('int32', chosenIds, [WATCHED]) };
    const out = await this.#project(graph, hidden, extra);
    const [chosen, lse, max] = [out.chosen, out.log_sum_exp, out.max].map((t) => floats(t, graph.file));
    const best = out.argmax!.data as Int32Array;
    return Array.from({ length: rows }, (_, r) => ({
      logprobs: ids.map((_id, i) => chosen![r * WATCHED + i]! - lse![r]!),
      argmax: best[r]!,
      argmaxLogprob: max![r]! - lse![r]!,
    }));
  }

  async #project(
    graph: ManifestGraph,
    hidden: Float32Array,
    extra: Record<string, Tensor> = {},
  ): Promise<Record<string, Tensor>> {
    const spec = port(graph, 'inputs', 'x');
    const x = floatBuffer(spec);
    x.set(hidden);
    return this.#run(await this.#session(graph), { x: this.#tensor(spec, x), ...extra }, graph.file);
  }

  async #run(
    session: InferenceSession,
    feeds: Record<string, Tensor>,
    file: string,
  ): Promise<Record<string, Tensor>> {
    try {
      return (await session.run(feeds)) as Record<string, Tensor>;
    } catch (error) {
      throw new BackendLostError(this.target, `running ${file} failed: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  #tensor(spec: { dtype: 'f32' | 'f16' | 'int32'; dims: readonly number[] }, data: FloatBuffer): Tensor {
    return new this.#host.Tensor(ortType(spec), data as Float32Array, spec.dims);
  }

  #session(graph: ManifestGraph): Promise<InferenceSession> {
    let session = this.#sessions.get(graph.file);
    if (!session) {
      session = this.#host.open(graph);
      this.#sessions.set(graph.file, session);
    }
    return session;
  }

  #pass(role: 'prefill' | 'decode', capacity: number): Promise<Pass> {
    const name = `${role} ${capacity}`;
    let pass = this.#passes.get(name);
    if (!pass) {
      pass = this.#openPass(role, capacity);
      this.#passes.set(name, pass);
    }
    return pass;
  }

  async #openPass(role: 'prefill' | 'decode', capacity: number): Promise<Pass> {
    const graphs = layerGraphs(this.#manifest, role, capacity);
    const stages: Stage[] = [];
    for (const graph of graphs) stages.push({ graph, session: await this.#session(graph) });
    const { length } = graphs[0]!;
    const specX = port(graphs[0]!, 'inputs', 'x');
    const x = floatBuffer(specX);
    const feeds: Record<string, Tensor> = { x: this.#tensor(specX, x) };
    const fills: ((position: number) => void)[] = [];
    const bind = (name: string): FloatBuffer | null => {
      const graph = graphs.find((g) => hasPort(g, 'inputs', name));
      if (!graph) return null;
      const spec = port(graph, 'inputs', name);
      const buffer = floatBuffer(spec);
      feeds[name] = this.#tensor(spec, buffer);
      return buffer;
    };
    this.#manifest.rope.forEach((rope, t) => {
      const cos = bind(`cos.${t}`);
      const sin = bind(`sin.${t}`);
      if (!cos || !sin) return;
      fills.push((position) => {
        const rows = ropeRows(rope, position, length);
        cos.set(rows.cos);
        sin.set(rows.sin);
      });
    });
    this.#manifest.masks.forEach(({ window }, m) => {
      const mask = bind(`mask.${m}`);
      if (!mask) return;
      const values = new Float32Array(elements({ dims: [maskRows(window, length), capacity] }));
      fills.push((position) => mask.set(pastMask(window, position, length, capacity, values)));
    });
    return { length, stages, x, feeds, fill: (position) => fills.forEach((f) => f(position)) };
  }
}

function floats(tensor: Tensor | undefined, file: string): FloatBuffer {
  if (!tensor)
    throw new RuntimeError(
      'bad-model',
      `${file} did not give an output that baton.json lists; compile the model again`,
    );
  return tensor.data as FloatBuffer;
}

function joinRows(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
