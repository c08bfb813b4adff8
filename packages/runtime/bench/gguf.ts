// A GGUF file of a given shape with random quantised blocks, for llama.cpp and its children (Qwen2 architecture, dummy
// vocabulary). Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; block layouts: ggml-common.h.
import { open } from 'node:fs/promises';
import { byteVocabulary, END } from './byte-vocabulary.ts';
import { randomNumbers } from './random-network.ts';
import type { Shape } from './shapes.ts';

export type GgufType = 'q4_0' | 'q8_0';

// File type, tensor type, bytes of a block of 32: an f16 scale and the integers.
const TYPES = { q4_0: { file: 2, tensor: 2, block: 18 }, q8_0: { file: 7, tensor: 8, block: 34 } } as const;
const F32 = 0;
const ALIGNMENT = 32;
const [U32, FLOAT, BOOL, STRING, ARRAY, I32] = [4, 6, 7, 8, 9, 5];

/** Writes the file; returns its bytes. */
export async function writeGguf(file: string, shape: Shape, type: GgufType): Promise<number> {
  const tensors = tensorsOf(shape);
  const out: Buffer[] = [];
  const values = metadata(shape, type);
  out.push(Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(values.length), ...values);
  let offset = 0;
  for (const { name, rows, inputs, quantised } of tensors) {
    const dims = rows === 0 ? [inputs] : [inputs, rows];
    out.push(
      text(name),
      u32(dims.length),
      ...dims.map(u64),
      u32(quantised ? TYPES[type].tensor : F32),
      u64(offset),
    );
    offset += padded(bytesOf(rows, inputs, quantised, type));
  }
  const head = Buffer.concat(out);
  const handle = await open(file, 'w');
  try {
    await handle.writeFile(Buffer.concat([head], padded(head.length)));
    const random = randomNumbers(1);
    for (const t of tensors) {
      const bytes = bytesOf(t.rows, t.inputs, t.quantised, type);
      const data = Buffer.alloc(padded(bytes));
      if (t.quantised)
        fillBlocks(data.subarray(0, bytes), TYPES[type].block, Math.sqrt(3 / t.inputs), type, random);
      else new Float32Array(data.buffer, data.byteOffset, bytes / 4).fill(t.value);
      await handle.writeFile(data);
    }
  } finally {
    await handle.close();
  }
  return padded(head.length) + offset;
}

interface GgufTensor {
  name: string;
  /** 0 = a vector of `inputs` numbers. */
  rows: number;
  inputs: number;
  quantised: boolean;
  value: number;
}

function tensorsOf(s: Shape): GgufTensor[] {
  const matrix = (name: string, rows: number, inputs: number): GgufTensor => ({
    name,
    rows,
    inputs,
    quantised: true,
    value: 0,
  });
  const vector = (name: string, inputs: number, value: number): GgufTensor => ({
    name,
    rows: 0,
    inputs,
    quantised: false,
    value,
  });
  const [q, kv] = [s.heads * s.headWidth, s.keyValueHeads * s.headWidth];
  return [
    matrix('token_embd.weight', s.vocabulary, s.hidden),
    vector('output_norm.weight', s.hidden, 1),
    matrix('output.weight', s.vocabulary, s.hidden),
    ...Array.from({ length: s.layers }, (_, i) => [
      vector(`blk.${i}.attn_norm.weight`, s.hidden, 1),
      vector(`blk.${i}.ffn_norm.weight`, s.hidden, 1),
      matrix(`blk.${i}.attn_q.weight`, q, s.hidden),
      matrix(`blk.${i}.attn_k.weight`, kv, s.hidden),
      matrix(`blk.${i}.attn_v.weight`, kv, s.hidden),
      matrix(`blk.${i}.attn_output.weight`, s.hidden, q),
      vector(`blk.${i}.attn_q.bias`, q, 0),
      vector(`blk.${i}.attn_k.bias`, kv, 0),
      vector(`blk.${i}.attn_v.bias`, kv, 0),
      matrix(`blk.${i}.ffn_gate.weight`, s.feedForward, s.hidden),
      matrix(`blk.${i}.ffn_up.weight`, s.feedForward, s.hidden),
      matrix(`blk.${i}.ffn_down.weight`, s.hidden, s.feedForward),
    ]).flat(),
  ];
}

function metadata(s: Shape, type: GgufType): Buffer[] {
  const number = (key: string, value: number): Buffer => Buffer.concat([text(key), u32(U32), u32(value)]);
  const float = (key: string, value: number): Buffer => Buffer.concat([text(key), u32(FLOAT), f32(value)]);
  const string = (key: string, value: string): Buffer => Buffer.concat([text(key), u32(STRING), text(value)]);
  const array = (key: string, kind: number, items: Buffer[]): Buffer =>
    Buffer.concat([text(key), u32(ARRAY), u32(kind), u64(items.length), ...items]);
  return [
    string('general.architecture', 'qwen2'),
    number('general.file_type', TYPES[type].file),
    number('qwen2.context_length', 4096),
    number('qwen2.embedding_length', s.hidden),
    number('qwen2.block_count', s.layers),
    number('qwen2.feed_forward_length', s.feedForward),
    number('qwen2.attention.head_count', s.heads),
    number('qwen2.attention.head_count_kv', s.keyValueHeads),
    float('qwen2.rope.freq_base', 1e6),
    float('qwen2.attention.layer_norm_rms_epsilon', 1e-6),
    string('tokenizer.ggml.model', 'gpt2'),
    string('tokenizer.ggml.pre', 'qwen2'),
    array('tokenizer.ggml.tokens', STRING, byteVocabulary(s.vocabulary).map(text)),
    array(
      'tokenizer.ggml.token_type',
      I32,
      Array.from({ length: s.vocabulary }, (_, i) => u32(i === END ? 3 : 1)),
    ),
    array('tokenizer.ggml.merges', STRING, [text('a b')]),
    number('tokenizer.ggml.bos_token_id', END),
    number('tokenizer.ggml.eos_token_id', END),
    Buffer.concat([text('tokenizer.ggml.add_bos_token'), u32(BOOL), Buffer.from([0])]),
  ];
}

function fillBlocks(data: Buffer, block: number, spread: number, type: GgufType, random: () => number): void {
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length >> 2);
  for (let i = 0; i < words.length; i++) words[i] = random() * 4294967296;
  const scale = half(spread / (type === 'q4_0' ? 8 : 127));
  for (let at = 0; at < data.length; at += block) data.writeUInt16LE(scale, at);
}

/** f16 bits of a positive normal number. */
function half(value: number): number {
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, value);
  return (bits.getUint32(0) - (112 << 23)) >>> 13;
}

function bytesOf(rows: number, inputs: number, quantised: boolean, type: GgufType): number {
  return quantised ? (rows * inputs * TYPES[type].block) / 32 : inputs * 4;
}

const padded = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

function u32(n: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(n);
  return b;
}

function u64(n: number): Buffer {
  const b = Buffer.alloc(8);
  b.writeBigUInt64LE(BigInt(n));
  return b;
}

function f32(n: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeFloatLE(n);
  return b;
}

function text(s: string): Buffer {
  const bytes = Buffer.from(s, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}
