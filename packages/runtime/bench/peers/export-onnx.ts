// The ONNX form in which models are usually published for transformers.js and plain ONNX Runtime: dynamic shapes, past
// keys and values in, present ones out, GroupQueryAttention with its rotation inside, SkipSimplifiedLayerNormalization,
// and only the wanted rows through the head (num_logits_to_keep). Weights: fp32; q4 = MatMulNBits in blocks of 32 with
// fp32 scales and accuracy level 4; q8 = dynamically quantised (DynamicQuantizeLinear + MatMulInteger, one int8 scale per
// matrix). Operators: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { openRandomCheckpoint, type RandomCheckpoint } from '../random-checkpoint.ts';
import { rotaryTables } from '../random-network.ts';
import type { Shape } from '../shapes.ts';
import { FLOAT, INT32, OnnxModel } from './onnx-model.ts';

export type OnnxType = 'fp32' | 'q4' | 'q8';

/** File names that transformers.js looks for. */
export const ONNX_FILES = { fp32: 'model', q4: 'model_q4', q8: 'model_quantized' } as const;

/** Bits per matrix weight, scales included. */
export const ONNX_BITS = { fp32: 32, q4: 5, q8: 8 } as const;

const MICROSOFT = { domain: 'com.microsoft' } as const;
const BLOCK = 32;

/** Writes folder/onnx/NAME.onnx with the weights of a random checkpoint (random-checkpoint.ts). */
export async function exportOnnx(
  checkpoint: string,
  shape: Shape,
  type: OnnxType,
  folder: string,
): Promise<void> {
  const out = path.join(folder, 'onnx');
  await mkdir(out, { recursive: true });
  const source = await openRandomCheckpoint(checkpoint);
  const model = new OnnxModel(out, ONNX_FILES[type]);
  try {
    await network(model, source, shape, type);
    await model.write();
  } finally {
    await source.close();
  }
}

async function network(m: OnnxModel, source: RandomCheckpoint, shape: Shape, type: OnnxType): Promise<void> {
  const { heads, keyValueHeads, headWidth: width, layers, vocabulary } = shape;
  const cacheDims = ['batch_size', keyValueHeads, 'past_sequence_length', width];
  m.input('input_ids', 'int64', ['batch_size', 'sequence_length']);
  m.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length']);
  m.input('num_logits_to_keep', 'int64', []);
  for (let i = 0; i < layers; i++)
    for (const part of ['key', 'value']) m.input(`past_key_values.${i}.${part}`, 'f32', cacheDims);

  const vector = async (name: string): Promise<string> => {
    const values = await source.read(name);
    return m.weight(name, 'f32', [values.length], values);
  };
  const linear = linears(m, source, type);
  const norm = { attributes: { epsilon: 1e-6, axis: -1n, stash_type: 1n } };
  const skipNorm = { ...MICROSOFT, attributes: { epsilon: 1e-6 } };

  // What GroupQueryAttention wants of the mask: tokens seen by each sequence minus 1, and the total.
  const one = m.constant('one', 'int64', [1], BigInt64Array.of(1n));
  const seen = m.node('ReduceSum', ['attention_mask', one], ['mask/sum'], { attributes: { keepdims: 1n } });
  const last = m.node('Sub', [seen, one], ['mask/last']);
  const seqlens = m.node('Cast', [last], ['mask/seqlens'], { attributes: { to: BigInt(INT32) } });
  const maskShape = m.node('Shape', ['attention_mask'], ['mask/shape']);
  const oneScalar = m.constant('one_scalar', 'int64', [], BigInt64Array.of(1n));
  const count = m.node('Gather', [maskShape, oneScalar], ['mask/count'], { attributes: { axis: 0n } });
  const total = m.node('Cast', [count], ['mask/total'], { attributes: { to: BigInt(INT32) } });
  const { cos, sin, half } = rotaryTables(4096, width);
  const cosines = await m.weight('cos_cache', 'f32', [4096, half], cos);
  const sines = await m.weight('sin_cache', 'f32', [4096, half], sin);

  let x = await embedding(m, source, shape, type);
  let h = m.node(
    'SimplifiedLayerNormalization',
    [x, await vector('model.layers.0.input_layernorm.weight')],
    ['first_norm'],
    norm,
  );
  for (let i = 0; i < layers; i++) {
    const at = `model.layers.${i}`;
    const heading: string[] = [];
    const input = linear.input(h);
    for (const part of ['q', 'k', 'v']) {
      const name = `${at}.self_attn.${part}_proj`;
      const product = await linear.product(input, `${name}.weight`);
      heading.push(m.node('Add', [product, await vector(`${name}.bias`)], [`${name}/biased`]));
    }
    const past = ['key', 'value'].map((part) => `past_key_values.${i}.${part}`);
    const present = ['key', 'value'].map((part) => `present.${i}.${part}`);
    const attended = m.node(
      'GroupQueryAttention',
      [...heading, ...past, seqlens, total, cosines, sines],
      [`${at}/attention`, ...present],
      {
        ...MICROSOFT,
        attributes: {
          num_heads: BigInt(heads),
          kv_num_heads: BigInt(keyValueHeads),
          scale: width ** -0.5,
          do_rotary: 1n,
          rotary_interleaved: 0n,
          local_window_size: -1n,
        },
      },
    );
    const projected = await linear.product(linear.input(attended), `${at}.self_attn.o_proj.weight`);
    const middle = `${at}/middle`;
    h = m.node(
      'SkipSimplifiedLayerNormalization',
      [x, projected, await vector(`${at}.post_attention_layernorm.weight`)],
      [`${at}/post_norm`, '', '', middle],
      skipNorm,
    );
    const inner = linear.input(h);
    const gate = await linear.product(inner, `${at}.mlp.gate_proj.weight`);
    const up = await linear.product(inner, `${at}.mlp.up_proj.weight`);
    const sigmoid = m.node('Sigmoid', [gate], [`${at}/sigmoid`]);
    const silu = m.node('Mul', [gate, sigmoid], [`${at}/silu`]);
    const gated = m.node('Mul', [silu, up], [`${at}/gated`]);
    const down = await linear.product(linear.input(gated), `${at}.mlp.down_proj.weight`);
    const next = i + 1 < layers ? `model.layers.${i + 1}.input_layernorm.weight` : 'model.norm.weight';
    x = `${at}/out`;
    h = m.node(
      'SkipSimplifiedLayerNormalization',
      [middle, down, await vector(next)],
      [`${at}/next_norm`, '', '', x],
      skipNorm,
    );
    for (const name of present)
      m.output(name, 'f32', ['batch_size', keyValueHeads, 'total_sequence_length', width]);
  }
  const negative = m.node('Neg', ['num_logits_to_keep'], ['keep/negative']);
  const shapeOne = m.constant('shape_one', 'int64', [1], BigInt64Array.of(1n));
  const start = m.node('Reshape', [negative, shapeOne], ['keep/start']);
  const end = m.constant('far', 'int64', [1], BigInt64Array.of(2n ** 62n));
  const kept = m.node('Slice', [h, start, end, one], ['kept']);
  const logits = await linear.product(linear.input(kept), 'lm_head.weight');
  m.node('Identity', [logits], ['logits']);
  m.output('logits', 'f32', ['batch_size', 'kept_length', vocabulary]);
}

async function embedding(
  m: OnnxModel,
  source: RandomCheckpoint,
  { vocabulary, hidden }: Shape,
  type: OnnxType,
): Promise<string> {
  const values = await source.read('model.embed_tokens.weight');
  if (type !== 'q8') {
    const table = await m.weight('embed_tokens', 'f32', [vocabulary, hidden], values);
    return m.node('Gather', [table, 'input_ids'], ['embedded']);
  }
  const { integers, scale } = int8Of(values);
  const table = await m.weight('embed_tokens', 'int8', [vocabulary, hidden], integers);
  const rows = m.node('Gather', [table, 'input_ids'], ['embedded/int8']);
  const factor = m.constant('embed_scale', 'f32', [], Float32Array.of(scale));
  const zero = m.constant('embed_zero', 'int8', [], Int8Array.of(0));
  return m.node('DequantizeLinear', [rows, factor, zero], ['embedded']);
}

interface Linears {
  /** What a tensor must become before it is multiplied; once for all matrices it meets. */
  input(x: string): readonly string[];
  product(input: readonly string[], weight: string): Promise<string>;
}

function linears(m: OnnxModel, source: RandomCheckpoint, type: OnnxType): Linears {
  if (type === 'fp32') {
    return {
      input: (x) => [x],
      product: async ([x], weight) => {
        const [rows, inputs] = source.dims(weight);
        const transposed = transpose(await source.read(weight), rows!, inputs!);
        const w = await m.weight(weight, 'f32', [inputs!, rows!], transposed);
        return m.node('MatMul', [x!, w], [`${weight}/product`]);
      },
    };
  }
  if (type === 'q4') {
    return {
      input: (x) => [x],
      product: async ([x], weight) => {
        const [rows, inputs] = source.dims(weight);
        const { nibbles, scales } = int4Of(await source.read(weight));
        const w = await m.weight(`${weight}_q4`, 'uint8', [rows!, inputs! / BLOCK, BLOCK / 2], nibbles);
        const s = await m.weight(`${weight}_scales`, 'f32', [scales.length], scales);
        return m.node('MatMulNBits', [x!, w, s], [`${weight}/product`], {
          ...MICROSOFT,
          attributes: {
            K: BigInt(inputs!),
            N: BigInt(rows!),
            bits: 4n,
            block_size: BigInt(BLOCK),
            accuracy_level: 4n,
          },
        });
      },
    };
  }
  return {
    input: (x) => {
      const out = [`${x}/int8`, `${x}/scale`, `${x}/zero`];
      m.node('DynamicQuantizeLinear', [x], out);
      return out;
    },
    product: async ([x, factor, offset], weight) => {
      const [rows, inputs] = source.dims(weight);
      const { integers, scale } = int8Of(transpose(await source.read(weight), rows!, inputs!));
      const w = await m.weight(`${weight}_int8`, 'int8', [inputs!, rows!], integers);
      const s = m.constant(`${weight}_scale`, 'f32', [], Float32Array.of(scale));
      const zero = m.constant(`${weight}_zero`, 'int8', [], Int8Array.of(0));
      const sum = m.node('MatMulInteger', [x!, w, offset!, zero], [`${weight}/sum`]);
      const float = m.node('Cast', [sum], [`${weight}/float`], { attributes: { to: BigInt(FLOAT) } });
      const both = m.node('Mul', [factor!, s], [`${weight}/factor`]);
      return m.node('Mul', [float, both], [`${weight}/product`]);
    },
  };
}

function transpose(values: Float32Array, rows: number, inputs: number): Float32Array {
  const out = new Float32Array(values.length);
  // In tiles, or every write would be to another page.
  for (let r0 = 0; r0 < rows; r0 += 64)
    for (let k0 = 0; k0 < inputs; k0 += 64)
      for (let k = k0; k < Math.min(inputs, k0 + 64); k++)
        for (let r = r0; r < Math.min(rows, r0 + 64); r++) out[k * rows + r] = values[r * inputs + k]!;
  return out;
}

/** One scale for the whole tensor, symmetric. */
function int8Of(values: Float32Array): { integers: Int8Array; scale: number } {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  const scale = most / 127;
  const integers = new Int8Array(values.length);
  for (let i = 0; i < values.length; i++) integers[i] = Math.round(values[i]! / scale);
  return { integers, scale };
}

/** Blocks of 32 along the inputs: the number of largest magnitude becomes -8; low nibble first. */
function int4Of(values: Float32Array): { nibbles: Uint8Array; scales: Float32Array } {
  const scales = new Float32Array(values.length / BLOCK);
  const nibbles = new Uint8Array(values.length / 2);
  for (let b = 0; b < scales.length; b++) {
    let most = 0;
    for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++)
      if (Math.abs(values[i]!) > Math.abs(most)) most = values[i]!;
    const scale = most / -8;
    scales[b] = scale;
    for (let i = b * BLOCK; i < (b + 1) * BLOCK; i++) {
      const q = scale === 0 ? 8 : Math.min(15, Math.max(0, Math.round(values[i]! / scale) + 8));
      nibbles[i >> 1]! |= q << (4 * (i & 1));
    }
  }
  return { nibbles, scales };
}
