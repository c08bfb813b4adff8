// Row-major weights -> the panels that the kernels read in order (layouts: kernels/assembly/int4-parts.ts, int8.ts,
// float.ts). Runs once at load; 100 million 4-bit weights take about a tenth of a second.
import { matrixBytes } from './products.ts';

/** Weights as a checkpoint or compiled model has them: row-major [rows][inputs]. */
export type SourceMatrix =
  | { kind: 'f32'; rows: number; inputs: number; data: Float32Array }
  /** Integers -127..127. `scales` [rows][inputs / group]; weight = integer * scale. */
  | { kind: 'int8'; rows: number; inputs: number; group: number; data: Int8Array; scales: Float32Array }
  /** Nibbles, low one first, holding integer + 8 (`offset`) or two's complement; rows of ceil(inputs / 2) bytes. */
  | {
      kind: 'int4';
      rows: number;
      inputs: number;
      group: number;
      data: Uint8Array;
      offset: boolean;
      scales: Float32Array;
    };

const BLOCK = 32;

/**
 * Packs a matrix into panels of 8 rows of `inputs` (its own, padded to a multiple of 32), to every `step`th panel of `out`;
 * what is missing of the last panel are rows of zeros. Quantised groups must be a multiple of 32 or cover the whole row.
 */
export function packMatrix(source: SourceMatrix, inputs: number, out: Uint8Array, step = 1): void {
  const blocks = inputs / BLOCK;
  for (let row = 0; row < source.rows; row += 8) {
    const at = matrixBytes(source.kind, (row / 8) * step, inputs);
    if (source.kind === 'f32') packFloat(source, row, inputs, out, at);
    else if (source.kind === 'int8') packInt8(source, row, blocks, out, at);
    else packInt4(source, row, blocks, out, at);
  }
}

function packFloat(
  { data, rows, inputs: width }: SourceMatrix & { kind: 'f32' },
  first: number,
  inputs: number,
  out: Uint8Array,
  at: number,
): void {
  const to = new Float32Array(out.buffer, out.byteOffset + at, inputs * 8);
  for (let r = 0; r < 8 && first + r < rows; r++) {
    for (let from = (first + r) * width, k = r, end = from + width; from < end; k += 8) to[k] = data[from++]!;
  }
}

function packInt8(
  source: SourceMatrix & { kind: 'int8' },
  first: number,
  blocks: number,
  out: Uint8Array,
  at: number,
): void {
  const { data, rows, inputs } = source;
  for (let r = 0; r < 8 && first + r < rows; r++) {
    const from = (first + r) * inputs;
    if (inputs % BLOCK === 0 && data.byteOffset % 2 === 0) wholePairs(data, from, blocks, out, at + 2 * r);
    else
      for (let b = 0; b < blocks; b++) {
        let to = at + b * 272 + 2 * r;
        const last = Math.min(inputs, (b + 1) * BLOCK);
        for (let k = b * BLOCK; k < last; k += 2, to += 16) {
          out[to] = data[from + k]!;
          if (k + 1 < last) out[to + 1] = data[from + k + 1]!;
        }
      }
    for (let b = 0; b < blocks; b++) putScale(source, first + r, b, out, at + b * 272 + 256 + 2 * r);
  }
}

/** A row of whole blocks of int8, two bytes at a time. */
function wholePairs(data: Int8Array, from: number, blocks: number, out: Uint8Array, at: number): void {
  const pairs = new Uint16Array(data.buffer, data.byteOffset + from, blocks * 16);
  const to = new Uint16Array(out.buffer, out.byteOffset + at, blocks * 136 - 7);
  for (let i = 0, b = 0; b < blocks; b++)
    for (let j = b * 136, end = j + 128; j < end; i++, j += 8) to[j] = pairs[i]!;
}

function packInt4(
  source: SourceMatrix & { kind: 'int4' },
  first: number,
  blocks: number,
  out: Uint8Array,
  at: number,
): void {
  const words = new Uint32Array(out.buffer, out.byteOffset + at, blocks * 36);
  const flip = source.offset ? 0 : 0x88888888;
  for (let r = 0; r < 8; r++) {
    const row = first + r;
    if (row >= source.rows) {
      // Zero is nibble 8.
      for (let b = 0; b < blocks; b++) for (let g = 0; g < 4; g++) words[b * 36 + g * 8 + r] = 0x88888888;
      continue;
    }
    if (source.inputs % BLOCK === 0 && source.data.byteOffset % 4 === 0)
      wholeBlocks(source.data, row * blocks * 4, blocks, flip, words, r);
    else cutBlocks(source, row, blocks, flip, words, r);
    for (let b = 0; b < blocks; b++) putScale(source, row, b, out, at + b * 144 + 128 + 2 * r);
  }
}

/** A row of whole blocks from 32-bit word `from` of the data on: what nearly every matrix has, and nearly all of a load. */
function wholeBlocks(
  data: Uint8Array,
  from: number,
  blocks: number,
  flip: number,
  words: Uint32Array,
  r: number,
): void {
  const eights = new Uint32Array(data.buffer, data.byteOffset + from * 4, blocks * 4);
  for (let i = 0, to = r; i < eights.length; to += 36) {
    for (let g = 0; g < 32; g += 8, i++) {
      const w = eights[i]! ^ flip;
      words[to + g] = spread(w & 0xffff) | (spread(w >>> 16) << 4);
    }
  }
}

/** A row whose last block is not full. */
function cutBlocks(
  { data, inputs }: SourceMatrix & { kind: 'int4' },
  row: number,
  blocks: number,
  flip: number,
  words: Uint32Array,
  r: number,
): void {
  const from = row * Math.ceil(inputs / 2);
  for (let g = 0; g < blocks * 4; g++) {
    // Eight nibbles: inputs k .. k + 7 from the lowest bits up. What lies beyond the row is zero weights.
    let w = 0x88888888;
    for (let k = g * 8, j = 0; j < 8 && k < inputs; j++, k++) {
      const nibble = ((data[from + (k >> 1)]! >> (4 * (k & 1))) ^ flip) & 15;
      w = (w & ~(15 << (4 * j))) | (nibble << (4 * j));
    }
    words[(g >> 2) * 36 + (g & 3) * 8 + r] = spread(w & 0xffff) | (spread(w >>> 16) << 4);
  }
}

/** Nibbles 0..3 of a 16-bit number to the low halves of four bytes. */
function spread(x: number): number {
  const wide = (x | (x << 8)) & 0x00ff00ff;
  return (wide | (wide << 4)) & 0x0f0f0f0f;
}

function putScale(
  source: { group: number; inputs: number; scales: Float32Array },
  row: number,
  block: number,
  out: Uint8Array,
  at: number,
): void {
  const groups = Math.ceil(source.inputs / source.group);
  const group = Math.min(groups - 1, Math.floor((block * BLOCK) / source.group));
  const code = scaleCode(source.scales[row * groups + group]!);
  out[at] = code & 255;
  out[at + 1] = code >> 8;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Nearest scale code (kernels/assembly/scale.ts) of a scale >= 0. Throws RangeError for one out of range or negative. */
export function scaleCode(scale: number): number {
  if (scale === 0) return 0;
  float[0] = scale;
  const code = ((bits[0]! + 0x1000) >>> 13) - (80 << 10);
  if (!(scale > 0) || code > 0xffff)
    throw new RangeError(`wasm-simd: a weight scale of ${scale} is outside 2^-47 .. 2^17`);
  // Anything smaller is below every activation's rounding.
  return Math.max(0, code);
}

/** The scale a code stands for. */
export function scaleValue(code: number): number {
  bits[0] = (code << 13) + (80 << 23);
  return float[0]!;
}
