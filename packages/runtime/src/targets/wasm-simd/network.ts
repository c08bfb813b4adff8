// What this target needs to know of a network, in its own words, so that the compiled model's format (or a benchmark's
// random weights) can be poured into it layer by layer without all of it being in memory twice.
import type { SourceMatrix } from './pack.ts';
import type { StoredMatrix } from './pieces.ts';

export interface Network {
  hidden: number;
  heads: number;
  keyValueHeads: number;
  headWidth: number;
  feedForward: number;
  vocabulary: number;
  epsilon: number;
  activation: 'silu' | 'gelu-tanh' | 'gelu';
  /** Factor of q . k, usually headWidth^-0.5. */
  attentionScale: number;
  attentionCap?: number;
  logitCap?: number;
  rotary: RotaryTables[];
  layers: { window?: number; rotary: number }[];
}

/** cos and sin, [positions][half] each: numbers before they are in the heap, addresses afterwards. */
export interface RotaryTables<Values = Float32Array> {
  half: number;
  cos: Values;
  sin: Values;
  /** Tables for caches of at most `upTo` slots, ascending, where the scaling goes by the length of the sequence. */
  shorter?: readonly { upTo: number; cos: Values; sin: Values }[];
}

/** The tables for a cache of `capacity` slots. */
export function tablesAt<Values>(
  rotary: RotaryTables<Values>,
  capacity: number,
): { half: number; cos: Values; sin: Values } {
  const shorter = rotary.shorter?.find(({ upTo }) => capacity <= upTo);
  return shorter ? { half: rotary.half, cos: shorter.cos, sin: shorter.sin } : rotary;
}

/** Weights of one layer; norms are multipliers as applied (families that store w - 1 have 1 added). */
export interface LayerWeights<Matrix = SourceMatrix> {
  inputNorm?: Float32Array;
  postAttentionNorm?: Float32Array;
  feedForwardNorm?: Float32Array;
  postFeedForwardNorm?: Float32Array;
  /** `headWidth` numbers: each head apart (Qwen3); as many as the projection has rows: all heads together (OLMo 2). */
  queryNorm?: Float32Array;
  keyNorm?: Float32Array;
  query: Matrix;
  key: Matrix;
  value: Matrix;
  output: Matrix;
  gate: Matrix;
  up: Matrix;
  down: Matrix;
  queryBias?: Float32Array;
  keyBias?: Float32Array;
  valueBias?: Float32Array;
  outputBias?: Float32Array;
  gateBias?: Float32Array;
  upBias?: Float32Array;
  downBias?: Float32Array;
}

export interface NetworkWeights<Matrix = SourceMatrix> {
  layer(index: number): Promise<LayerWeights<Matrix>>;
  finalNorm(): Promise<Float32Array>;
  head(): Promise<{ matrix: Matrix; bias?: Float32Array }>;
  /** To be waited for before `embed` is called with these tokens, where it is there and gives a promise. */
  prepare?(tokens: readonly number[]): Promise<void> | undefined;
  /** Writes the embedding of `token` (scaled as the family wants it) to `out`, `hidden` floats. */
  embed(token: number, out: Float32Array): void;
}

/** Weights whose matrices need not be in memory as wholes while they are packed. */
export type LoadableWeights = NetworkWeights<SourceMatrix | StoredMatrix>;
