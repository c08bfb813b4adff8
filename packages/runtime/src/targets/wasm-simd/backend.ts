// The execution target wasm-simd behind the runtime's Backend face: own kernels, weights and KV caches in one
// WebAssembly memory, threads over it where the platform shares memory.
import type { ModelFiles } from '@baton/compiler';
import type { Backend, ForwardResult, Sequence, Wanted, WatchedRow } from '../../backend.ts';
import { BackendLostError } from '../../backend.ts';
import { fastestInt4 } from './calibrate.ts';
import { COUNTERS } from './control.ts';
import { bestKernelSet, detectFeatures } from './features.ts';
import { Heap } from './heap.ts';
import type { Kernels, KernelSet } from './kernels.ts';
import { instantiateKernels, loadKernelModule } from './kernels.ts';
import { loadPlan } from './load.ts';
import type { LoadableWeights, Network, NetworkWeights } from './network.ts';
import { tablesAt } from './network.ts';
import type { Piece } from './pieces.ts';
import { PiecePacker } from './pieces.ts';
import type { Plan } from './plan.ts';
import { cacheLayout, matricesOf } from './plan.ts';
import type { Pool, Threads } from './pool.ts';
import { inlinePool, startThreads } from './pool.ts';
import { mostPhases, type Pass } from './program.ts';
import { matrixBytes } from './products.ts';
import { HeapSequence } from './sequence.ts';
import { shareFiles } from './shared-files.ts';

export interface WasmSimdOptions {
  /** Cache capacities on offer, ascending. */
  capacities: readonly number[];
  /** Where stored matrices lie. */
  files?: ModelFiles;
  onClose?: () => void;
  /** Most tokens of one forward pass; default 64. */
  maxRows?: number;
  /** Most that share a pass; one of little work is run by one. Default: one per core up to 8, but 1 where memory cannot be shared. */
  threads?: number;
  /** Default: relaxed where the engine has it. */
  kernels?: KernelSet;
  /**
   * Bits of the activations that 4-bit weights meet; default 8. 16 takes the plain product: about half as fast, and
   * without the rounding of activations (for comparisons).
   */
  activationBits?: 8 | 16;
}

// Logits of this many rows are computed at once: the head is then read once for all of them, and the buffer stays
// small (a 152k vocabulary takes 10 MB).
const LOGIT_ROWS = 16;
/**
 * A pass over so few bytes that makes fewer products than this is all hand-over between threads: one token of 0.5 M weights took 2.5 ms
 * with one thread on two busy cores and 7 with two. Of 2.2 M weights 16 tokens take 1.8 ms with one and 1.3 with two, 60 take
 * 6.9 and 4.8, where passes follow each other; where the threads were asleep, 3.1 and 4.3, 9.2 and 10.
 */
const ALONE_BYTES = 32 * 2 ** 20;
const ALONE_PRODUCTS = 100e6;
const MOST_THREADS = 8;

export class WasmSimdBackend implements Backend {
  readonly target = 'wasm-simd';
  readonly vocabSize: number;
  readonly maxRows: number;
  readonly capacities: readonly number[];
  readonly rotationChanges: readonly number[];
  readonly description: string;
  readonly threads: number;
  readonly #onClose: () => void;
  readonly #heap: Heap;
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #pool: Pool;
  readonly #weights: Pick<NetworkWeights, 'embed' | 'prepare'>;
  /** Bytes of packed weights, scales included, that one decode step reads. */
  readonly weightBytes: number;
  readonly oneMoreIsCheap: boolean;
  readonly #weightCount: number;
  /** Passes run one at a time, whichever sequence they belong to. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    heap: Heap,
    kernels: Kernels,
    plan: Plan,
    pool: Pool,
    weights: Pick<NetworkWeights, 'embed' | 'prepare'>,
    capacities: readonly number[],
    description: string,
    onClose: () => void = () => undefined,
  ) {
    this.#onClose = onClose;
    this.#heap = heap;
    this.#kernels = kernels;
    this.#plan = plan;
    this.#pool = pool;
    this.#weights = weights;
    const matrices = matricesOf(plan);
    this.weightBytes = matrices.reduce((sum, m) => sum + matrixBytes(m.kind, m.panels, m.inputs), 0);
    this.oneMoreIsCheap = this.weightBytes <= ALONE_BYTES;
    this.#weightCount = matrices.reduce((sum, m) => sum + m.panels * 8 * m.inputs, 0);
    this.vocabSize = plan.vocabulary;
    this.maxRows = plan.maxRows;
    this.capacities = capacities;
    const turned = (a: number, b: number): boolean =>
      plan.rotary.some((rotary) => tablesAt(rotary, a).cos !== tablesAt(rotary, b).cos);
    this.rotationChanges = capacities.filter((c, i) => i > 0 && turned(c, capacities[i - 1]!));
    this.threads = pool.threads;
    this.description = description;
  }

  /** Starts the threads and packs the weights into the heap. Throws RangeError when memory does not suffice. */
  static async create(
    network: Network,
    weights: LoadableWeights,
    options: WasmSimdOptions,
  ): Promise<WasmSimdBackend> {
    const features = detectFeatures();
    const set = options.kernels ?? bestKernelSet(features);
    const wanted = options.threads ?? Math.min(features.cores, MOST_THREADS);
    const counted = Math.floor(COUNTERS / mostPhases(network.layers.length));
    const threads = features.shared ? Math.max(1, Math.min(wanted, counted)) : 1;
    const shared = features.shared;
    const heap = new Heap(shared);
    const workers = shared ? startThreads(heap.memory, threads) : null;
    try {
      return await WasmSimdBackend.#load(heap, workers, set, threads, network, weights, options);
    } catch (error) {
      await workers?.close();
      throw error;
    }
  }

  static async #load(
    heap: Heap,
    workers: Threads | null,
    set: KernelSet,
    threads: number,
    network: Network,
    weights: LoadableWeights,
    options: WasmSimdOptions,
  ): Promise<WasmSimdBackend> {
    const module = await loadKernelModule(set, workers !== null);
    const activationBits = options.activationBits ?? 8;
    const kernels = instantiateKernels(module, heap.memory);
    const int4 = activationBits === 16 || set === 'plain' ? 'int4Plain' : fastestInt4(kernels, heap);
    const before = heap.bytes;
    const { plan, pieces } = await loadPlan(heap, network, weights, {
      threads,
      maxRows: options.maxRows ?? 64,
      logitRows: Math.min(LOGIT_ROWS, options.maxRows ?? 64),
      capacity: Math.max(...options.capacities),
      int4,
      activationBits,
    });
    await packPieces(pieces, options.files, heap.memory, workers);
    const held = heap.bytes - before;
    const pool = workers ? workers.serve(module, plan) : inlinePool(module, heap.memory, plan);
    const description =
      `own ${set} SIMD kernels, ${threads} thread${threads === 1 ? '' : 's'}, ` +
      `${(held / 2 ** 20).toFixed(1)} MiB of weights and working memory, one copy`;
    return new WasmSimdBackend(
      heap,
      kernels,
      plan,
      pool,
      weights,
      options.capacities,
      description,
      options.onClose,
    );
  }

  async createSequence(capacity: number = this.capacities[0]!): Promise<Sequence> {
    const fitting = this.capacities.find((c) => c >= capacity);
    if (fitting === undefined) {
      throw new RangeError(
        `wasm-simd: ${capacity} slots asked for, at most ${this.capacities.at(-1)} compiled`,
      );
    }
    return new HeapSequence(
      this.#heap,
      this.#kernels,
      this.#plan,
      fitting,
      (work) => this.#exclusive(work),
      (tokens, pass, wanted, kept) => this.#forward(tokens, pass, wanted, kept),
    );
  }

  /** Reads the weights once with all threads and computes nothing: the floor of a decode step, for benchmarks. */
  readWeights(): Promise<void> {
    const cache = cacheLayout(this.#plan, 0, 4);
    const pass = {
      tokens: 0,
      position: 0,
      cache,
      logitsFrom: 0,
      logitsCount: 0,
      summarise: 0,
      read: 1,
      threads: this.threads,
    };
    return this.#exclusive(() => this.#run(pass));
  }

  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    this.#onClose();
    await this.#pool.close();
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work, work);
    this.#last = run.catch(() => undefined);
    return run;
  }

  async #forward(
    tokens: readonly number[],
    pass: Pick<Pass, 'tokens' | 'position' | 'cache'>,
    wanted: Wanted,
    kept: () => Float32Array,
  ): Promise<ForwardResult> {
    const plan = this.#plan;
    await this.#weights.prepare?.(tokens);
    for (const [t, token] of tokens.entries()) {
      this.#weights.embed(token, this.#heap.floats(plan.buffers.x + t * plan.hiddenPadded * 4, plan.hidden));
    }
    const watch = typeof wanted === 'object' ? wanted.watch : undefined;
    const from = wanted === 'last' ? tokens.length - 1 : 0;
    const rows = wanted === 'none' ? 0 : tokens.length - from;
    const alone = this.weightBytes <= ALONE_BYTES && tokens.length * this.#weightCount < ALONE_PRODUCTS;
    const lastOnly = watch !== undefined || rows === 1;
    let logits: Float32Array | undefined =
      rows > 0 && !lastOnly ? new Float32Array(rows * plan.vocabulary) : undefined;
    const watched: WatchedRow[] = [];
    for (let done = 0; done === 0 || done < rows; done += plan.logitRows) {
      const count = Math.min(plan.logitRows, rows - done);
      await this.#run({
        ...pass,
        tokens: done === 0 ? tokens.length : 0,
        logitsFrom: from + done,
        logitsCount: count,
        summarise: watch ? 1 : 0,
        read: 0,
        threads: alone ? 1 : this.threads,
      });
      for (let t = 0; t < count; t++) {
        const row = this.#heap.floats(plan.buffers.logits + t * plan.head.panels * 32, plan.vocabulary);
        if (watch) watched.push(this.#watched(t, row, watch));
        if (!lastOnly) logits!.set(row, (done + t) * plan.vocabulary);
        else if (done + t === rows - 1) (logits = kept()).set(row);
      }
    }
    return { ...(logits ? { logits } : {}), ...(watch ? { watched } : {}) };
  }

  #watched(t: number, row: Float32Array, watch: readonly number[]): WatchedRow {
    const view = new DataView(this.#heap.memory.buffer, this.#plan.buffers.summaries + t * 16, 16);
    const top = view.getFloat32(0, true);
    const logSum = top + Math.log(view.getFloat64(8, true));
    return {
      logprobs: watch.map((id) => row[id]! - logSum),
      argmax: view.getInt32(4, true),
      argmaxLogprob: top - logSum,
    };
  }

  async #run(pass: Pass): Promise<void> {
    try {
      await this.#pool.run(pass);
    } catch (cause) {
      throw new BackendLostError('wasm-simd', `the forward pass failed: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
}

/** By the threads where they can read the files, else here. */
async function packPieces(
  pieces: readonly Piece[],
  files: ModelFiles | undefined,
  memory: WebAssembly.Memory,
  workers: Threads | null,
): Promise<void> {
  if (pieces.length === 0 || !files) return;
  const names = pieces.flatMap(({ numbers, scales }) => [numbers.file, scales?.file ?? numbers.file]);
  const shared = workers && (await shareFiles(names, files));
  if (shared) return workers.pack(pieces, shared);
  const packer = new PiecePacker(memory, async ({ file, offset, bytes }, into) => {
    const read = await files.read(file, offset, bytes, into);
    if (read.buffer !== into.buffer) into.set(read);
  });
  for (const piece of pieces) await packer.pack(piece);
}
