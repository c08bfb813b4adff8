// A network as the threads see it: numbers only (sizes and addresses in the heap), so it can be sent to a worker.
import type { RotaryTables } from './network.ts';

/** A packed weight matrix. */
export interface Matrix {
  kind: 'int4' | 'int8' | 'f32';
  address: number;
  /** Panels of 8 rows. */
  panels: number;
  /** Inputs, padded to a multiple of 32. */
  inputs: number;
  /** Address of the bias, one float per padded row, or 0. */
  bias: number;
}

export interface LayerPlan {
  /** Addresses of norm weights; 0 where the family has none. */
  inputNorm: number;
  postAttentionNorm: number;
  feedForwardNorm: number;
  postFeedForwardNorm: number;
  queryNorm: number;
  keyNorm: number;
  /** queryNorm and keyNorm go over all heads together. */
  wholeNorm: boolean;
  /** Rows: query heads, key heads, value heads. */
  qkv: Matrix;
  output: Matrix;
  /** Gate and up panels in turn. */
  gateUp: Matrix;
  down: Matrix;
  /** Slots a token sees, itself included; 0 = all. */
  window: number;
  /** Which rotary table. */
  rotary: number;
}

export interface Plan {
  hidden: number;
  /** `hidden` padded to 32; the stride of a residual row in floats. */
  hiddenPadded: number;
  heads: number;
  keyValueHeads: number;
  /** Floats a head takes, a multiple of 16; the first `headNumbers` are its own, the rest zeros. */
  headWidth: number;
  headNumbers: number;
  feedForward: number;
  vocabulary: number;
  epsilon: number;
  /** 0 silu, 1 gelu in tanh form, 2 gelu. */
  activation: number;
  attentionScale: number;
  /** 0 = none. */
  attentionCap: number;
  logitCap: number;
  layers: LayerPlan[];
  finalNorm: number;
  head: Matrix;
  /** Addresses of tables of cosines and sines, `positions` rows of `half` floats. */
  rotary: RotaryTables<number>[];
  /** Most tokens of one forward pass. */
  maxRows: number;
  /** Most rows whose logits are computed at once. */
  logitRows: number;
  /** Which 4-bit product, and bits of the activations it meets. */
  int4: 'int4Pairs' | 'int4Dot' | 'int4Plain';
  activationBits: 8 | 16;
  buffers: Buffers;
}

/** Addresses of working memory. */
export interface Buffers {
  /** [maxRows][hiddenPadded] residual stream; the host writes embeddings here. */
  x: number;
  /** [maxRows][hiddenPadded], for families that normalise behind a block. */
  branch: number;
  /** [maxRows][(heads + 2 kvHeads) * headWidth] */
  qkv: number;
  /** [maxRows][attention inputs padded] */
  attended: number;
  /** [maxRows][2 * feed-forward rows padded] */
  gateUp: number;
  /** [maxRows][feed-forward padded] */
  inner: number;
  /** [logitRows][vocabulary padded] */
  logits: number;
  /** [logitRows] summaries of 16 bytes (kernels/assembly/logits.ts) */
  summaries: number;
  /** Quantised rows shared by all threads, for prefill. */
  rows: RowBuffer;
  /** Per thread: quantised row and attention scratch, for decode; an unpacked panel, for prefill. */
  own: { row: RowBuffer; scratch: number; panel: number }[];
}

/** A normalised row (f32), its quantised form and the scales of its blocks; strides in bytes. */
export interface RowBuffer {
  plain: number;
  plainStride: number;
  quantised: number;
  quantisedStride: number;
  meta: number;
  metaStride: number;
}

/** Every matrix that a decode step reads. */
export function matricesOf(plan: Pick<Plan, 'layers' | 'head'>): Matrix[] {
  return [...plan.layers.flatMap((layer) => [layer.qkv, layer.output, layer.gateUp, layer.down]), plan.head];
}

/** Where one sequence's cache lies. Layers follow one another, `layerBytes` apart. */
export interface CacheLayout {
  base: number;
  /** As it was asked for; rotation may go by it. */
  capacity: number;
  /** Those that there is memory for: whole blocks. */
  slots: number;
  layerBytes: number;
  /** Offsets inside a layer, and distances between key-value heads. */
  keyScales: number;
  values: number;
  valueScales: number;
  keyHeadBytes: number;
  valueHeadBytes: number;
}

/** Attention goes over whole blocks of 16 slots (kernels/assembly/attention.ts). */
const paddedSlots = (capacity: number): number => Math.ceil(capacity / 16) * 16;

/** Scores that a thread's scratch holds per query; a block more than slots, or the three queries' would share cache sets. */
export const scoreSlots = (capacity: number): number => paddedSlots(capacity) + 16;

export function cacheLayout(
  plan: Pick<Plan, 'keyValueHeads' | 'headWidth'>,
  base: number,
  capacity: number,
): CacheLayout {
  const slots = paddedSlots(capacity);
  const headBytes = slots * plan.headWidth * 2;
  const scaleBytes = plan.keyValueHeads * slots * 4;
  const rows = plan.keyValueHeads * headBytes;
  return {
    base,
    capacity,
    slots,
    layerBytes: 2 * (rows + scaleBytes),
    keyScales: rows,
    values: rows + scaleBytes,
    valueScales: 2 * rows + scaleBytes,
    keyHeadBytes: headBytes,
    valueHeadBytes: headBytes,
  };
}

/** Largest |q|, |k| for which a lane's sum of width / 4 products of two int16 stays below 2^31 (and int16 holds). */
export function keyLimit(width: number): number {
  return Math.min(32767, Math.floor(Math.sqrt((2 ** 31 - 1) / (width / 4))));
}
