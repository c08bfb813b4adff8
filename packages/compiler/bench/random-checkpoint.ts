// Writes a checkpoint of a given shape with random bf16 weights, sharded as large checkpoints are, for speed and memory
// measurements. The weights are normal numbers from a block that repeats: quantisation does the same work as on real ones.
import { mkdir, open, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface Shape {
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  vocabSize: number;
  tied: boolean;
}

/** DeepSeek-R1-Distill-Qwen-1.5B and Qwen2.5-0.5B, as their config.json files have it; and one that takes no time. */
export const SHAPES = {
  '1.5b': {
    hiddenSize: 1536,
    intermediateSize: 8960,
    layers: 28,
    heads: 12,
    kvHeads: 2,
    vocabSize: 151936,
    tied: false,
  },
  '0.5b': {
    hiddenSize: 896,
    intermediateSize: 4864,
    layers: 24,
    heads: 14,
    kvHeads: 2,
    vocabSize: 151936,
    tied: true,
  },
  tiny: {
    hiddenSize: 64,
    intermediateSize: 96,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    vocabSize: 512,
    tied: true,
  },
} as const satisfies Readonly<Record<string, Shape>>;

export type ShapeName = keyof typeof SHAPES;

const SHARD_BYTES = 2e9;

/** Writes the checkpoint into `folder`; returns the bytes of its tensors and the number of its files. */
export async function writeRandomCheckpoint(
  folder: string,
  shape: Shape,
): Promise<{ bytes: number; shards: number }> {
  await mkdir(folder, { recursive: true });
  const config = {
    model_type: 'qwen2',
    hidden_size: shape.hiddenSize,
    intermediate_size: shape.intermediateSize,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    vocab_size: shape.vocabSize,
    tie_word_embeddings: shape.tied,
    rope_theta: 10000,
    rms_norm_eps: 1e-6,
    max_position_embeddings: 131072,
    eos_token_id: 2,
  };
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  const shards: [string, number[]][][] = [[]];
  let size = 0;
  for (const entry of tensorShapes(shape)) {
    const bytes = bytesOf(entry[1]);
    if (size + bytes > SHARD_BYTES) {
      shards.push([]);
      size = 0;
    }
    size += bytes;
    shards.at(-1)!.push(entry);
  }
  const map: Record<string, string> = {};
  let total = 0;
  for (const [i, tensors] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, '0');
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    for (const [name] of tensors) map[name] = file;
    total += await writeShard(path.join(folder, file), tensors);
  }
  const index = { metadata: { total_size: total }, weight_map: map };
  await writeFile(path.join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
  return { bytes: total, shards: shards.length };
}

function tensorShapes(s: Shape): [string, number[]][] {
  const queries = s.hiddenSize;
  const keys = (s.hiddenSize / s.heads) * s.kvHeads;
  const out: [string, number[]][] = [['model.embed_tokens.weight', [s.vocabSize, s.hiddenSize]]];
  for (let i = 0; i < s.layers; i++) {
    const at = `model.layers.${i}`;
    for (const [part, rows] of [
      ['q', queries],
      ['k', keys],
      ['v', keys],
    ] as const) {
      out.push(
        [`${at}.self_attn.${part}_proj.weight`, [rows, s.hiddenSize]],
        [`${at}.self_attn.${part}_proj.bias`, [rows]],
      );
    }
    out.push(
      [`${at}.self_attn.o_proj.weight`, [s.hiddenSize, queries]],
      [`${at}.mlp.gate_proj.weight`, [s.intermediateSize, s.hiddenSize]],
      [`${at}.mlp.up_proj.weight`, [s.intermediateSize, s.hiddenSize]],
      [`${at}.mlp.down_proj.weight`, [s.hiddenSize, s.intermediateSize]],
      [`${at}.input_layernorm.weight`, [s.hiddenSize]],
      [`${at}.post_attention_layernorm.weight`, [s.hiddenSize]],
    );
  }
  out.push(['model.norm.weight', [s.hiddenSize]]);
  if (!s.tied) out.push(['lm_head.weight', [s.vocabSize, s.hiddenSize]]);
  return out;
}

function bytesOf(dims: readonly number[]): number {
  return dims.reduce((n, d) => n * d, 2);
}

async function writeShard(file: string, tensors: readonly [string, number[]][]): Promise<number> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, shape] of tensors) {
    header[name] = { dtype: 'BF16', shape, data_offsets: [end, end + bytesOf(shape)] };
    end += bytesOf(shape);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const handle = await open(file, 'w');
  try {
    await handle.write(length);
    await handle.write(text);
    const block = normals(8 * 1024 * 1024);
    for (let at = 0; at < end; at += block.length)
      await handle.write(block.subarray(0, Math.min(block.length, end - at)));
  } finally {
    await handle.close();
  }
  return end;
}

/** `bytes` of bf16 normal numbers of deviation 0.02, the same every time. */
export function normals(bytes: number): Uint8Array {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const values = Float32Array.from({ length: bytes / 2 }, () => {
    return 0.02 * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  });
  const bits = new Uint32Array(values.buffer);
  return new Uint8Array(Uint16Array.from(bits, (b) => b >>> 16).buffer);
}
