// The same network in plain double arithmetic, slow and obvious: what the kernels are compared with in tests and in the
// self-test. Optionally rounds activations per block of 32 the way the quantised products do, so that what is left to
// compare is the kernels' own arithmetic.
import type { LayerWeights, Network, NetworkWeights, RotaryTables } from './network.ts';
import { tablesAt } from './network.ts';
import type { SourceMatrix } from './pack.ts';
import { readRow } from './reshape.ts';

export interface ReferenceOptions {
  /** Largest integer of rounded activations for 4-bit and 8-bit weights; absent = not rounded. */
  activationLimit?: { int4: number; int8: number };
  /** Round weight scales to the kernels' 16-bit codes. */
  scaleCodes?: boolean;
}

/** Logits [tokens][vocabulary] of a whole sequence from slot 0. */
export async function referenceLogits(
  network: Network,
  weights: NetworkWeights,
  tokens: readonly number[],
  options: ReferenceOptions = {},
): Promise<Float64Array[]> {
  const product: Product = (m, rows, bias) => multiply(m, rows, bias, options);
  let rows: Float64Array[] = tokens.map((token) => {
    const row = new Float32Array(network.hidden);
    weights.embed(token, row);
    return Float64Array.from(row);
  });
  for (const [index, shape] of network.layers.entries()) {
    const w = await weights.layer(index);
    rows = add(
      rows,
      attention(
        network,
        shape,
        w,
        rows.map((x) => (w.inputNorm ? normalise(x, w.inputNorm, network.epsilon) : x)),
        product,
      ),
      w.postAttentionNorm,
      network,
    );
    const fed = rows.map((x) => (w.feedForwardNorm ? normalise(x, w.feedForwardNorm, network.epsilon) : x));
    const gate = product(w.gate, fed, w.gateBias);
    const up = product(w.up, fed, w.upBias);
    const inner = gate.map((row, t) => row.map((g, i) => activate(g, network.activation) * up[t]![i]!));
    rows = add(rows, product(w.down, inner, w.downBias), w.postFeedForwardNorm, network);
  }
  const finalNorm = await weights.finalNorm();
  const head = await weights.head();
  const last = rows.map((x) => normalise(x, finalNorm, network.epsilon));
  const cap = network.logitCap;
  return product(head.matrix, last, head.bias).map((logits) =>
    cap ? logits.map((v) => cap * Math.tanh(v / cap)) : logits,
  );
}

/** Every row of inputs times a matrix. */
type Product = (m: SourceMatrix, rows: readonly Float64Array[], bias?: Float32Array) => Float64Array[];

function attention(
  network: Network,
  shape: Network['layers'][number],
  w: LayerWeights,
  rows: Float64Array[],
  product: Product,
): Float64Array[] {
  const { heads, keyValueHeads, headWidth: width, attentionScale, attentionCap: cap } = network;
  const rotary = tablesAt(network.rotary[shape.rotary]!, rows.length);
  const split = (
    x: Float64Array,
    count: number,
    position: number,
    norm?: Float32Array,
    rotate = true,
  ): Float64Array[] =>
    Array.from({ length: count }, (_, h) => {
      if (h === 0 && norm && norm.length > width) x = normalise(x, norm, network.epsilon);
      let head: Float64Array = x.slice(h * width, (h + 1) * width);
      if (norm?.length === width) head = normalise(head, norm, network.epsilon);
      if (rotate) turn(head, rotary, position);
      return head;
    });
  const q = product(w.query, rows, w.queryBias).map((x, t) => split(x, heads, t, w.queryNorm));
  const k = product(w.key, rows, w.keyBias).map((x, t) => split(x, keyValueHeads, t, w.keyNorm));
  const v = product(w.value, rows, w.valueBias).map((x, t) => split(x, keyValueHeads, t, undefined, false));
  const attended = rows.map((_, t) => {
    const out = new Float64Array(heads * width);
    const begin = shape.window ? Math.max(0, t + 1 - shape.window) : 0;
    for (let h = 0; h < heads; h++) {
      const group = Math.floor(h / (heads / keyValueHeads));
      const scores: number[] = [];
      for (let s = begin; s <= t; s++) {
        let dot = 0;
        for (let i = 0; i < width; i++) dot += q[t]![h]![i]! * k[s]![group]![i]!;
        const score = dot * attentionScale;
        scores.push(cap ? cap * Math.tanh(score / cap) : score);
      }
      const top = Math.max(...scores);
      const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
      for (let s = begin; s <= t; s++) {
        const p = Math.exp(scores[s - begin]! - top) / sum;
        for (let i = 0; i < width; i++) out[h * width + i]! += p * v[s]![group]![i]!;
      }
    }
    return out;
  });
  return product(w.output, attended, w.outputBias);
}

function add(
  rows: Float64Array[],
  branch: Float64Array[],
  norm: Float32Array | undefined,
  network: Network,
): Float64Array[] {
  return rows.map((x, t) => {
    const y = norm ? normalise(branch[t]!, norm, network.epsilon) : branch[t]!;
    return x.map((value, i) => value + y[i]!);
  });
}

function normalise(x: Float64Array, weight: Float32Array, epsilon: number): Float64Array {
  const s = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + epsilon);
  return x.map((v, i) => v * s * weight[i]!);
}

function turn(head: Float64Array, { half, cos, sin }: RotaryTables, position: number): void {
  for (let i = 0; i < half; i++) {
    const [c, s, a, b] = [cos[position * half + i]!, sin[position * half + i]!, head[i]!, head[i + half]!];
    head[i] = a * c - b * s;
    head[i + half] = b * c + a * s;
  }
}

function activate(x: number, kind: Network['activation']): number {
  if (kind === 'silu') return x / (1 + Math.exp(-x));
  if (kind === 'gelu') return 0.5 * x * (1 + erf(x / Math.SQRT2));
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** Maclaurin series; |x| stays below 5 in tests, where the terms do not cancel to less than 1e-6. */
function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** A row of the matrix is read once for all rows of inputs: reading it is most of the work. */
function multiply(
  m: SourceMatrix,
  sources: readonly Float64Array[],
  bias: Float32Array | undefined,
  options: ReferenceOptions,
): Float64Array[] {
  const limit = m.kind === 'f32' ? undefined : options.activationLimit?.[m.kind];
  const inputs = limit ? sources.map((source) => rounded(source, limit)) : sources;
  const outs = inputs.map(() => new Float64Array(m.rows));
  const row = new Float64Array(m.inputs);
  for (let r = 0; r < m.rows; r++) {
    readRow(m, r, row, options.scaleCodes ?? false);
    for (const [t, x] of inputs.entries()) outs[t]![r] = dot(row, x) + (bias?.[r] ?? 0);
  }
  return outs;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}

function rounded(x: Float64Array, limit: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let b = 0; b < x.length; b += 32) {
    let most = 0;
    for (let i = b; i < Math.min(b + 32, x.length); i++) most = Math.max(most, Math.abs(x[i]!));
    const scale = most / limit;
    for (let i = b; i < Math.min(b + 32, x.length); i++)
      out[i] = scale > 0 ? Math.round(x[i]! / scale) * scale : 0;
  }
  return out;
}
