// A Hugging Face checkpoint folder of a given shape with random bf16 weights, so that a benchmark needs no download and
// takes the whole way: checkpoint, compiler, target.
import { mkdir, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { byteTokenizer, END } from './byte-vocabulary.ts';
import type { Shape } from './shapes.ts';

/** Writes configuration, tokenizer and model.safetensors (Qwen2 architecture). Returns the bytes of weights written. */
export async function writeRandomCheckpoint(folder: string, shape: Shape, seed = 1): Promise<number> {
  await mkdir(folder, { recursive: true });
  const write = (name: string, content: object): Promise<void> =>
    writeFile(path.join(folder, name), JSON.stringify(content, null, 2));
  await write('config.json', config(shape));
  await write('tokenizer.json', byteTokenizer(shape.vocabulary));
  await write('tokenizer_config.json', { tokenizer_class: 'Qwen2Tokenizer', eos_token: '<|endoftext|>' });
  const tensors = tensorsOf(shape);
  const header: Header = {};
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

/** Reads single tensors of such a checkpoint as f32. */
export interface RandomCheckpoint {
  dims(name: string): readonly number[];
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

export async function openRandomCheckpoint(folder: string): Promise<RandomCheckpoint> {
  const file = await open(path.join(folder, 'model.safetensors'));
  const bytes = async (at: number, length: number): Promise<Buffer> => {
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, at);
    return buffer;
  };
  const length = Number((await bytes(0, 8)).readBigUInt64LE());
  const header = JSON.parse((await bytes(8, length)).toString()) as Header;
  return {
    dims: (name) => header[name]!.shape,
    read: async (name) => {
      const [from, to] = header[name]!.data_offsets;
      const data = await bytes(8 + length + from, to - from);
      const halves = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
      const words = new Uint32Array(halves.length);
      for (let i = 0; i < words.length; i++) words[i] = halves[i]! << 16;
      return new Float32Array(words.buffer);
    },
    close: () => file.close(),
  };
}

type Header = Record<string, { dtype: 'BF16'; shape: number[]; data_offsets: [number, number] }>;

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
    bos_token_id: END,
    eos_token_id: END,
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
