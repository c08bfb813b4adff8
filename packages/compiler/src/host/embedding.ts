// Embedding lookup on the host: one row of the table, dequantised and scaled. The table is read whole (`load`) or row by
// row from the model's files where it should not be held in memory.
import type { ModelFiles } from '../files.ts';
import type { Manifest, ManifestTensor } from '../manifest.ts';
import { halfToFloat } from './half.ts';

/** Writes embedding rows; made by `loadEmbedding`. */
export interface Embedding {
  /** Writes the row of `token` to out[at .. at + hiddenSize - 1]. */
  embed(token: number, out: Float32Array, at?: number): void;
  /** Bytes held in memory. */
  readonly bytes: number;
}

/** Loads the embedding table into memory in its stored form. */
export async function loadEmbedding(manifest: Manifest, files: ModelFiles): Promise<Embedding> {
  const tensor = manifest.tensors[manifest.embedding.tensor]!;
  const data = await files.read(tensor.file, tensor.offset, tensor.bytes);
  const scales = tensor.scales
    ? await files.read(tensor.file, tensor.scales.offset, tensor.scales.bytes)
    : new Uint8Array(0);
  const row = embeddingReader(manifest, data, scales);
  return { embed: (token, out, at = 0) => row(token, out, at), bytes: data.length + scales.length };
}

/** Writes rows of a stored table, or of some whole rows of it, to out[at] and on; `scales` are their f32 bytes. */
export function embeddingReader(
  manifest: Manifest,
  data: Uint8Array,
  scales: Uint8Array,
): (row: number, out: Float32Array, at: number) => void {
  const tensor = manifest.tensors[manifest.embedding.tensor]!;
  return rowReader(tensor, aligned(data), floats(aligned(scales)), manifest.embedding.scale);
}

function rowReader(
  t: ManifestTensor,
  data: Uint8Array,
  scales: Float32Array,
  scale: number,
): (row: number, out: Float32Array, at: number) => void {
  const width = t.dims[1]!;
  if (t.dtype === 'f32') {
    const values = floats(data);
    return (row, out, at) => {
      for (let k = 0; k < width; k++) out[at + k] = values[row * width + k]! * scale;
    };
  }
  if (t.dtype === 'f16') {
    const values = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
    return (row, out, at) => {
      for (let k = 0; k < width; k++) out[at + k] = halfToFloat(values[row * width + k]!) * scale;
    };
  }
  const integer = integerReader(t, data);
  const group = t.group!;
  const groups = width / group;
  return (row, out, at) => {
    for (let k = 0; k < width; k++) {
      out[at + k] = integer(row * width + k) * scales[row * groups + Math.floor(k / group)]! * scale;
    }
  };
}

/** Reads stored integers of an int8 or int4 tensor, zero point taken off. */
function integerReader(t: ManifestTensor, data: Uint8Array): (at: number) => number {
  const zero = t.zeroPoint ?? 0;
  if (t.dtype === 'int8') return zero ? (at) => data[at]! - zero : (at) => (data[at]! << 24) >> 24;
  const nibble = (at: number) => (data[at >>> 1]! >> (4 * (at & 1))) & 15;
  return zero ? (at) => nibble(at) - zero : (at) => (nibble(at) << 28) >> 28;
}

/** Typed-array views need aligned starts; ranges of a larger buffer may not have them. */
function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
