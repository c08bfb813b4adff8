// The decoder shapes that figures are given for.

export interface Shape {
  name: string;
  hidden: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headWidth: number;
  feedForward: number;
  vocabulary: number;
  /** Query, key and value biases (Qwen2). */
  biases: boolean;
}

export const SHAPES = {
  /** About 100 million parameters in the graph (the embedding table is not). */
  '100m': {
    name: '100m',
    hidden: 768,
    layers: 12,
    heads: 12,
    keyValueHeads: 4,
    headWidth: 64,
    feedForward: 2048,
    vocabulary: 32000,
    biases: true,
  },
  /** Qwen2-0.5B. */
  '0.5b': {
    name: '0.5b',
    hidden: 896,
    layers: 24,
    heads: 14,
    keyValueHeads: 2,
    headWidth: 64,
    feedForward: 4864,
    vocabulary: 151936,
    biases: true,
  },
  /** 21 million: what an emulated GPU opens in a minute, with weights that stand out from what a browser takes besides. */
  '20m': {
    name: '20m',
    hidden: 512,
    layers: 6,
    heads: 8,
    keyValueHeads: 4,
    headWidth: 64,
    feedForward: 1408,
    vocabulary: 8192,
    biases: true,
  },
  /** Two million parameters: measured in seconds on anything, to see that a benchmark works. */
  '2m': {
    name: '2m',
    hidden: 128,
    layers: 4,
    heads: 4,
    keyValueHeads: 2,
    headWidth: 32,
    feedForward: 384,
    vocabulary: 8192,
    biases: true,
  },
} as const satisfies Record<string, Shape>;

/** The shape that a command's `--shape` names. Throws one line with the names there are. */
export function shapeNamed(name: string): (typeof SHAPES)[keyof typeof SHAPES] {
  const shape = Object.values(SHAPES).find((s) => s.name === name);
  if (!shape) throw new Error(`--shape: ${name} is none of ${Object.keys(SHAPES).join(', ')}`);
  return shape;
}

/** Weights that a decode step reads, without embeddings, norms and biases. */
export function graphWeights(shape: Shape): number {
  const attention = shape.headWidth * (2 * shape.heads + 2 * shape.keyValueHeads) * shape.hidden;
  return shape.layers * (attention + 3 * shape.feedForward * shape.hidden) + shape.vocabulary * shape.hidden;
}
