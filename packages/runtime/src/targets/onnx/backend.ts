// A backend over ONNX Runtime sessions, in Node and in the browser alike: opens the graphs of a compiled model and does
// the host's duties around them (manifest.ts lists them). Which runtime and which execution provider is its caller's
// choice, given as `OnnxHost`.

import {
  loadEmbedding,
  rotationChanges,
  type Embedding,
  type Manifest,
  type ModelFiles,
} from '@baton/compiler';
import type { Tensor } from 'onnxruntime-common';
import type { Backend, ForwardResult, Sequence, TargetId, Wanted } from '../../backend.ts';
import { RuntimeError } from '../../errors.ts';
import { turnOfEventLoop } from '../../event-loop.ts';
import { Mutex } from '../../mutex.ts';
import { HostCache, type KvCache } from './cache.ts';
import { layerGraphs, port } from './graphs.ts';
import { Heads } from './heads.ts';
import { Pass } from './pass.ts';
import { GraphRunner, type OnnxRuntime } from './runner.ts';
import { SpareBuffers } from './spare-buffers.ts';

/** Decode steps of one capacity that never leave the provider's memory. */
export interface DeviceStep {
  /** Runs one embedded token (`x` f32 [hidden]) at `position`, stores its rows; gives its last hidden state [1, hidden]. */
  run(cache: KvCache, x: Float32Array, position: number): Promise<Tensor>;
}

export interface OnnxHost extends OnnxRuntime {
  /** Tokens from which one padded prefill chunk is cheaper than that many decode steps. */
  readonly chunkFrom: number;
  readonly describe: string;
  /** A run computes on the caller's thread and settles without a turn of the event loop in between. */
  readonly blocking?: boolean;
  /** A cache in the provider's own memory; absent, or undefined for a model: host memory. */
  createCache?(manifest: Manifest, capacity: number, dtype: 'f32' | 'f16'): Promise<KvCache> | undefined;
  /** Decode steps on the device, over caches of `createCache`; absent: through host memory. */
  openStep?(manifest: Manifest, runner: GraphRunner, capacity: number): Promise<DeviceStep>;
  close?(): Promise<void>;
}

export class OnnxBackend implements Backend {
  readonly target: TargetId;
  readonly vocabSize: number;
  readonly maxRows: number;
  readonly capacities: readonly number[];
  readonly rotationChanges: readonly number[];
  readonly description: string;
  readonly #host: OnnxHost;
  readonly #manifest: Manifest;
  readonly #embedding: Embedding;
  readonly #runner: GraphRunner;
  readonly #heads: Heads;
  readonly #passes = new Map<string, Promise<Pass>>();
  readonly #steps = new Map<number, Promise<DeviceStep>>();
  /** ONNX Runtime Web refuses a run while another is in flight, and opening counts as one. */
  readonly #turn = new Mutex();
  readonly #spare = new SpareBuffers();
  /** Embedded tokens of the pass under way. */
  readonly #x: Float32Array;
  #closed = false;

  private constructor(host: OnnxHost, manifest: Manifest, embedding: Embedding) {
    this.#host = host;
    this.#manifest = manifest;
    this.#embedding = embedding;
    this.#runner = new GraphRunner(host);
    this.#heads = new Heads(manifest, this.#runner);
    this.#x = new Float32Array(manifest.chunk * manifest.architecture.hiddenSize);
    this.target = host.target;
    this.vocabSize = manifest.architecture.vocabSize;
    this.maxRows = manifest.chunk;
    this.capacities = manifest.capacities;
    this.rotationChanges = rotationChanges(manifest.rope, manifest.capacities);
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
    const cache = await this.#turn.run(() => this.#createCache(chosen));
    return {
      get capacity() {
        return cache.capacity;
      },
      forward: async (tokens, position, wanted) => {
        const result = await this.#turn.run(() => this.#forward(cache, tokens, position, wanted));
        // Else an abort or any other message would be read when the whole text is written.
        if (this.#host.blocking) await turnOfEventLoop();
        return result;
      },
      resize: (next, live) =>
        this.#turn.run(async () => {
          await this.#prepare(next);
          await cache.resize(next, live);
        }),
      evict: (from, count, live) => this.#turn.run(async () => cache.evict(from, count, live)),
      // Behind a run that still reads it: the next cache may get its memory.
      close: () => this.#turn.run(async () => cache.close()),
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#turn.run(async () => {
      await this.#runner.close();
      await this.#host.close?.();
    });
  }

  async #createCache(capacity: number): Promise<KvCache> {
    await this.#prepare(capacity);
    const first = layerGraphs(this.#manifest, 'decode', capacity)[0]!;
    const dtype = port(first, 'inputs', 'past_key.0').dtype === 'f16' ? 'f16' : 'f32';
    const own = this.#host.createCache?.(this.#manifest, capacity, dtype);
    return own ?? new HostCache(this.#manifest, capacity, dtype, this.#runner, this.#spare);
  }

  async #prepare(capacity: number): Promise<void> {
    await this.#pass('prefill', capacity);
    await (this.#step(capacity) ?? this.#pass('decode', capacity));
    await this.#heads.prepare();
  }

  async #forward(
    cache: KvCache,
    tokens: readonly number[],
    position: number,
    wanted: Wanted,
  ): Promise<ForwardResult> {
    if (this.#closed) throw new RuntimeError('closed', `${this.target}: the model is closed`);
    const { hiddenSize } = this.#manifest.architecture;
    if (tokens.length < 1 || tokens.length > this.maxRows)
      throw new RangeError(`${this.target}: forward takes 1 to ${this.maxRows} tokens, got ${tokens.length}`);
    const x = this.#x.subarray(0, tokens.length * hiddenSize);
    tokens.forEach((token, r) => this.#embedding.embed(token, x, r * hiddenSize));
    // Only what a head reads is kept: the last row, or all.
    const kept = wanted === 'none' ? 0 : wanted === 'last' ? 1 : tokens.length;
    const skipped = tokens.length - kept;
    const hidden = new Float32Array(kept * hiddenSize);
    const inChunk = tokens.length >= this.#host.chunkFrom && tokens.length > 1;
    const step = inChunk ? undefined : await this.#step(cache.capacity);
    if (step) {
      for (let r = 0; r < tokens.length; r++) {
        const y = await step.run(cache, x.subarray(r * hiddenSize, (r + 1) * hiddenSize), position + r);
        // Nobody on the host needs what only the head reads next.
        if (tokens.length === 1 && wanted !== 'none') return this.#heads.answer(y, 1, wanted);
        if (r >= skipped) hidden.set(await this.#runner.numbers(y), (r - skipped) * hiddenSize);
      }
      return wanted === 'none' ? {} : this.#heads.answer(hidden, kept, wanted);
    }
    const pass = await this.#pass(inChunk ? 'prefill' : 'decode', cache.capacity);
    for (let at = 0; at < tokens.length; at += pass.length) {
      const count = Math.min(pass.length, tokens.length - at);
      const from = Math.max(at, skipped);
      const { y, row } = await pass.run(
        cache,
        x.subarray(at * hiddenSize, (at + count) * hiddenSize),
        count,
        position + at,
        Math.min(from - at, count - 1),
      );
      if (from < at + count)
        hidden.set(
          y.subarray(row * hiddenSize, (row + at + count - from) * hiddenSize),
          (from - skipped) * hiddenSize,
        );
      this.#runner.discard(y);
    }
    return wanted === 'none' ? {} : this.#heads.answer(hidden, kept, wanted);
  }

  #step(capacity: number): Promise<DeviceStep> | undefined {
    let step = this.#steps.get(capacity);
    if (!step && this.#host.openStep) {
      step = this.#host.openStep(this.#manifest, this.#runner, capacity);
      this.#steps.set(capacity, step);
    }
    return step;
  }

  #pass(role: 'prefill' | 'decode', capacity: number): Promise<Pass> {
    const name = `${role} ${capacity}`;
    let pass = this.#passes.get(name);
    if (!pass) {
      pass = Pass.open(this.#manifest, this.#runner, role, capacity);
      this.#passes.set(name, pass);
    }
    return pass;
  }
}
