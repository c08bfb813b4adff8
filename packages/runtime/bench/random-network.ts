// Networks of a given shape with random weights, for benchmarks and for tests against a reference: nothing to download,
// and the same seed gives the same numbers.
import type { LayerWeights, Network, NetworkWeights } from '../src/targets/wasm-simd/network.ts';
import type { SourceMatrix } from '../src/targets/wasm-simd/pack.ts';
import type { Shape } from './shapes.ts';

export type WeightKind = SourceMatrix['kind'];

/** mulberry32: 32 bits of state, uniform in [0, 1). */
export function randomNumbers(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function rotaryTables(positions: number, width: number, theta = 1e6): Network['rotary'][number] {
  const half = width / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let p = 0; p < positions; p++) {
    for (let i = 0; i < half; i++) {
      const angle = p * theta ** (-i / half);
      cos[p * half + i] = Math.cos(angle);
      sin[p * half + i] = Math.sin(angle);
    }
  }
  return { half, cos, sin };
}

/** A matrix with entries of spread about inputs^-0.5; `group` applies to quantised kinds. */
export function randomMatrix(
  kind: WeightKind,
  rows: number,
  inputs: number,
  random: () => number,
  group = 32,
): SourceMatrix {
  const spread = Math.sqrt(3 / inputs);
  if (kind === 'f32') {
    const data = new Float32Array(rows * inputs);
    for (let i = 0; i < data.length; i++) data[i] = (random() * 2 - 1) * spread;
    return { kind, rows, inputs, data };
  }
  const groups = Math.ceil(inputs / group);
  const scales = new Float32Array(rows * groups);
  const most = kind === 'int4' ? 7 : 127;
  for (let i = 0; i < scales.length; i++) scales[i] = ((0.75 + random() / 2) * spread) / most;
  if (kind === 'int8') {
    const data = new Int8Array(rows * inputs);
    for (let i = 0; i < data.length; i++) data[i] = Math.floor(random() * 255) - 127;
    return { kind, rows, inputs, group, data, scales };
  }
  const data = new Uint8Array(rows * Math.ceil(inputs / 2));
  const words = new Uint32Array(data.buffer, 0, data.length >> 2);
  for (let i = 0; i < words.length; i++) words[i] = random() * 4294967296;
  for (let i = words.length * 4; i < data.length; i++) data[i] = random() * 256;
  return { kind, rows, inputs, group, data, offset: true, scales };
}

export function randomNetwork(
  shape: Shape,
  kind: WeightKind,
  positions: number,
  seed = 1,
): { network: Network; weights: NetworkWeights } {
  const random = randomNumbers(seed);
  const { hidden, heads, keyValueHeads, headWidth, feedForward } = shape;
  const vector = (n: number, centre: number, spread: number): Float32Array =>
    Float32Array.from({ length: n }, () => centre + (random() * 2 - 1) * spread);
  const matrix = (rows: number, inputs: number): SourceMatrix => randomMatrix(kind, rows, inputs, random);
  const embeddings = vector(shape.vocabulary * hidden, 0, 1);
  const network: Network = {
    hidden,
    heads,
    keyValueHeads,
    headWidth,
    feedForward,
    vocabulary: shape.vocabulary,
    epsilon: 1e-6,
    activation: 'silu',
    attentionScale: headWidth ** -0.5,
    rotary: [rotaryTables(positions, headWidth)],
    layers: Array.from({ length: shape.layers }, () => ({ rotary: 0 })),
  };
  const layer = async (): Promise<LayerWeights> => ({
    inputNorm: vector(hidden, 1, 0.1),
    feedForwardNorm: vector(hidden, 1, 0.1),
    query: matrix(heads * headWidth, hidden),
    key: matrix(keyValueHeads * headWidth, hidden),
    value: matrix(keyValueHeads * headWidth, hidden),
    output: matrix(hidden, heads * headWidth),
    gate: matrix(feedForward, hidden),
    up: matrix(feedForward, hidden),
    down: matrix(hidden, feedForward),
    ...(shape.biases
      ? {
          queryBias: vector(heads * headWidth, 0, 0.2),
          keyBias: vector(keyValueHeads * headWidth, 0, 0.2),
          valueBias: vector(keyValueHeads * headWidth, 0, 0.2),
        }
      : {}),
  });
  return {
    network,
    weights: {
      layer,
      finalNorm: async () => vector(hidden, 1, 0.1),
      head: async () => ({ matrix: matrix(shape.vocabulary, hidden) }),
      embed: (token, out) => void out.set(embeddings.subarray(token * hidden, (token + 1) * hidden)),
    },
  };
}
