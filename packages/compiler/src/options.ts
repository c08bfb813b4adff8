// What can be asked of the compiler, with defaults, and the check of what was asked.
import { CompileError } from './errors.ts';

export const WEIGHT_TYPES = ['f32', 'f16', 'int8', 'int4'] as const;
export type WeightType = (typeof WEIGHT_TYPES)[number];

export const LOWERINGS = ['portable', 'fused', 'integer'] as const;
export type Lowering = (typeof LOWERINGS)[number];

/** rows: a pass returns its new keys and values, and the host writes them. whole: it returns the whole updated cache. */
export const CACHE_UPDATES = ['rows', 'whole'] as const;
export type CacheUpdate = (typeof CACHE_UPDATES)[number];

/** How a prefill chunk attends: in primitive operators over every slot, or in one that reads the filled slots only. */
export const ATTENTIONS = ['primitive', 'grouped'] as const;
export type Attention = (typeof ATTENTIONS)[number];

/** What a prefill graph multiplies with: int4 as it is stored, or the same integers a byte each. */
export const PREFILL_WEIGHTS = ['stored', 'bytes'] as const;
export type PrefillWeights = (typeof PREFILL_WEIGHTS)[number];

export const BOUNDARIES = ['f32', 'f16'] as const;
export type Boundary = (typeof BOUNDARIES)[number];

export interface CompileProgress {
  /** measure: weights are tried and their errors taken, before anything is written (`keepAbove`). */
  phase: 'measure' | 'weights' | 'graphs' | 'finish';
  /** The tensor or file in work. */
  item: string;
  /** Bytes of the checkpoint read so far, and in all. */
  done: number;
  total: number;
  elapsedMs: number;
  /** Estimate from the speed so far; null until there is one. */
  remainingMs: number | null;
}

export interface CompileOptions {
  /** The model's id; default: the source's name. */
  id?: string;
  /** Slots of the KV cache; several give a cache that grows. Default 2048. */
  context?: number | readonly number[];
  /** Tokens of a prefill chunk. Default 64. */
  chunk?: number;
  /** Default: all in one graph. */
  layersPerGraph?: number;
  /**
   * portable: standard operators, for every target (default). fused: ONNX Runtime's quantised kernels. integer: int8 weights
   * met by 8-bit activations (MatMulInteger), the fastest prompt on ONNX Runtime's CPU; needs int8 and one scale per channel.
   */
  lowering?: Lowering;
  /** How matrices are stored. Default f32. int8 and int4 need int8 embeddings; int4 keeps an int8 head unless `head` says otherwise. */
  weights?: WeightType;
  /** Inputs that share a scale in int8 and int4. Default 32; in the integer lowering, and only there, 'channel'. */
  group?: 16 | 32 | 64 | 128 | 256 | 'channel';
  /** How the LM head is stored. */
  head?: WeightType;
  /** Sensitive tensors to keep wider: names (layers.0.down) or endings (.down) and how to store them. */
  keep?: Readonly<Record<string, WeightType>>;
  /**
   * Also keeps every matrix wider whose relative error would exceed this: int4 becomes int8, int8 f16. Costs one more
   * reading of the weights.
   */
  keepAbove?: number;
  /** Smallest RMSNorm epsilon; 5e-5 for pure f16 targets (NITRO). Default: as configured. */
  epsilonFloor?: number;
  /** Who writes new keys and values into the cache. Default rows. */
  cacheUpdate?: CacheUpdate;
  /**
   * grouped: prefill graphs attend with ONNX Runtime's GroupQueryAttention, which computes with the filled slots of the
   * cache only. Not in the portable lowering, nor with `cacheUpdate` whole; heads whose width is no multiple of 8 stay
   * primitive. Default: grouped in the integer lowering, else primitive.
   */
  attention?: Attention;
  /**
   * bytes: prefill graphs of int4 weights in the fused lowering unpack them when a runtime loads them, once, and multiply the
   * same integers with the same scales: ONNX Runtime's CPU kernels unpack them for every few rows otherwise. For ort-cpu and
   * wasm; webgpu takes no such graph. Costs half a byte of memory per weight, a slower opening, nothing on disk. Default stored.
   */
  prefillWeights?: PrefillWeights;
  /** Type of hidden states, keys and values where they cross a graph's boundary; inside is f32. Default f32. */
  boundary?: Boundary;
  /** Fields of config.json that are known to change no arithmetic. */
  ignoreConfigFields?: readonly string[];
  signal?: AbortSignal;
  onProgress?: (progress: CompileProgress) => void;
}

export interface ResolvedOptions {
  capacities: number[];
  chunk: number;
  layersPerGraph: number;
  lowering: Lowering;
  weights: WeightType;
  group: number | 'channel';
  head: WeightType;
  embedding: WeightType;
  keep: Readonly<Record<string, WeightType>>;
  keepAbove: number | null;
  epsilonFloor: number;
  cacheUpdate: CacheUpdate;
  attention: Attention;
  prefillWeights: PrefillWeights;
  boundary: Boundary;
}

/** Throws `bad-option` naming the option. */
export function resolveOptions(options: CompileOptions): ResolvedOptions {
  const { weights = 'f32', chunk = 64, lowering = 'portable', keep = {} } = options;
  const { group = lowering === 'integer' ? 'channel' : 32 } = options;
  const capacities = [...new Set([options.context ?? 2048].flat())].sort((a, b) => a - b);
  if (capacities.length === 0) fail('context', 'is empty', 'give at least one number of slots');
  for (const c of capacities) positive('context', c);
  positive('chunk', chunk);
  if (chunk > capacities[0]!) {
    fail('chunk', `${chunk} is longer than the smallest context, ${capacities[0]}`, 'choose a smaller chunk');
  }
  const layersPerGraph = options.layersPerGraph ?? Number.MAX_SAFE_INTEGER;
  positive('layersPerGraph', layersPerGraph);
  oneOf('lowering', lowering, LOWERINGS);
  oneOf('group', group, [16, 32, 64, 128, 256, 'channel']);
  if (lowering === 'integer' && weights !== 'int8') {
    fail(
      'lowering',
      `integer does not go with ${weights} weights`,
      'choose int8 weights, or another lowering',
    );
  }
  if (lowering === 'integer' && group !== 'channel') {
    fail('group', `is ${group}`, 'choose channel, the only one for the integer lowering');
  }
  const quantised = weights === 'int8' || weights === 'int4';
  const embedding: WeightType = quantised ? 'int8' : weights;
  const head = options.head ?? embedding;
  for (const [where, type] of [['weights', weights], ['head', head], ...Object.entries(keep)]) {
    oneOf(where!, type, WEIGHT_TYPES);
  }
  const epsilonFloor = options.epsilonFloor ?? 0;
  if (!(epsilonFloor >= 0 && epsilonFloor < 1))
    fail('epsilonFloor', `is ${epsilonFloor}`, 'give a small number, such as 5e-5');
  const { cacheUpdate = 'rows', boundary = 'f32' } = options;
  const keepAbove = options.keepAbove ?? null;
  if (keepAbove !== null && !(keepAbove > 0)) {
    fail('keepAbove', `is ${keepAbove}`, 'give a relative error above 0, such as 0.1');
  }
  oneOf('cacheUpdate', cacheUpdate, CACHE_UPDATES);
  oneOf('boundary', boundary, BOUNDARIES);
  const { attention = lowering === 'integer' && cacheUpdate === 'rows' ? 'grouped' : 'primitive' } = options;
  oneOf('attention', attention, ATTENTIONS);
  if (attention === 'grouped' && lowering === 'portable')
    fail(
      'attention',
      'is grouped, which the portable lowering has no operator for',
      'choose fused or integer',
    );
  if (attention === 'grouped' && cacheUpdate === 'whole')
    fail('attention', 'is grouped, but the graphs write the whole cache', 'choose cacheUpdate rows');
  const { prefillWeights = 'stored' } = options;
  oneOf('prefillWeights', prefillWeights, PREFILL_WEIGHTS);
  if (prefillWeights === 'bytes' && (lowering !== 'fused' || weights !== 'int4'))
    fail(
      'prefillWeights',
      `is bytes, which is for int4 weights in the fused lowering, not ${weights} in ${lowering}`,
      'choose stored',
    );
  return {
    capacities,
    chunk,
    layersPerGraph,
    lowering,
    weights,
    group,
    head,
    embedding,
    keep,
    keepAbove,
    epsilonFloor,
    cacheUpdate,
    attention,
    prefillWeights,
    boundary,
  };
}

function positive(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) fail(name, `is ${value}`, 'give a positive integer');
}

function oneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value)) fail(name, `is ${String(value)}`, `choose one of ${allowed.join(', ')}`);
}

function fail(name: string, what: string, advice: string): never {
  throw new CompileError('bad-option', `option ${name} ${what}; ${advice}`);
}
