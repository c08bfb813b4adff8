// A Hugging Face checkpoint folder of a given shape with random bf16 weights, so that a benchmark needs no download and
// takes the whole way: checkpoint, compiler, target.
import { mkdir, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Shape } from './shapes.ts';

/** Writes config.json and model.safetensors (Qwen2 architecture). Returns the bytes of weights written. */
export async function writeRandomCheckpoint(folder: string, shape: Shape, seed = 1): Promise<number> {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config(shape), null, 2));
  const tensors = tensorsOf(shape);
  const header: Record<string, { dtype: 'BF16'; shape: number[]; data_offsets: [number, number] }> = {};
  let offset = 0;
  for (const { name, dims } of tensors) {
    const bytes = 2 * dims.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'BF16', shape: dims, data_offsets: [offset, offset + bytes] };
    offset += bytes;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = await open(path.join(folder, 'model.safetensors'), 'w');
  try {
    await file.writeFile(Buffer.concat([length, padded]));
    const random = randomWords(seed);
    for (const { dims, spread, centre } of tensors)
      await file.writeFile(numbers(dims, spread, centre, random));
  } finally {
    await file.close();
  }
  return offset;
}

function config(s: Shape): object {
  return {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_act: 'silu',
    hidden_size: s.hidden,
    intermediate_size: s.feedForward,
    num_attention_heads: s.heads,
    num_key_value_heads: s.keyValueHeads,
    num_hidden_layers: s.layers,
    vocab_size: s.vocabulary,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    tie_word_embeddings: false,
    use_sliding_window: false,
    torch_dtype: 'bfloat16',
    bos_token_id: 0,
    eos_token_id: 0,
  };
}

interface RandomTensor {
  name: string;
  dims: number[];
  spread: number;
  centre: number;
}

function tensorsOf(s: Shape): RandomTensor[] {
  const matrix = (name: string, rows: number, inputs: number): RandomTensor => {
    return { name: `${name}.weight`, dims: [rows, inputs], spread: Math.sqrt(3 / inputs), centre: 0 };
  };
  const norm = (name: string): RandomTensor => ({
    name: `${name}.weight`,
    dims: [s.hidden],
    spread: 0.1,
    centre: 1,
  });
  const bias = (name: string, n: number): RandomTensor => ({
    name: `${name}.bias`,
    dims: [n],
    spread: 0.2,
    centre: 0,
  });
  const [queries, keys] = [s.heads * s.headWidth, s.keyValueHeads * s.headWidth];
  const layers = Array.from({ length: s.layers }, (_, i) => {
    const at = `model.layers.${i}`;
    return [
      norm(`${at}.input_layernorm`),
      matrix(`${at}.self_attn.q_proj`, queries, s.hidden),
      bias(`${at}.self_attn.q_proj`, queries),
      matrix(`${at}.self_attn.k_proj`, keys, s.hidden),
      bias(`${at}.self_attn.k_proj`, keys),
      matrix(`${at}.self_attn.v_proj`, keys, s.hidden),
      bias(`${at}.self_attn.v_proj`, keys),
      matrix(`${at}.self_attn.o_proj`, s.hidden, queries),
      norm(`${at}.post_attention_layernorm`),
      matrix(`${at}.mlp.gate_proj`, s.feedForward, s.hidden),
      matrix(`${at}.mlp.up_proj`, s.feedForward, s.hidden),
      matrix(`${at}.mlp.down_proj`, s.hidden, s.feedForward),
    ];
  });
  return [
    { ...matrix('model.embed_tokens', s.vocabulary, s.hidden), spread: 1 },
    ...layers.flat(),
    norm('model.norm'),
    matrix('lm_head', s.vocabulary, s.hidden),
  ];
}

/** xorshift32: fast enough for hundreds of millions of numbers. */
function randomWords(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x;
  };
}

/** Uniform numbers in centre +- spread, cut to bf16 (the upper half of an f32). */
function numbers(dims: number[], spread: number, centre: number, random: () => number): Buffer {
  const count = dims.reduce((a, b) => a * b, 1);
  const floats = new Float32Array(count);
  const factor = spread / 2 ** 31;
  for (let i = 0; i < count; i++) floats[i] = centre + random() * factor;
  const words = new Uint32Array(floats.buffer);
  const out = new Uint16Array(count);
  for (let i = 0; i < count; i++) out[i] = words[i]! >>> 16;
  return Buffer.from(out.buffer);
}
