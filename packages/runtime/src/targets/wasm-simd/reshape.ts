// Matrices brought into the form the kernels take: heads padded to a multiple of 16 numbers, parts that are multiplied
// together brought to one kind.
import type { SourceMatrix } from './pack.ts';
import { scaleCode, scaleValue } from './pack.ts';

/** Writes the numbers that row r of a matrix stands for to out[0 ..]; `scaleCodes` with the rounding of packed scales. */
export function readRow(
  m: SourceMatrix,
  r: number,
  out: Float32Array | Float64Array,
  scaleCodes = false,
): void {
  const { inputs } = m;
  if (m.kind === 'f32') {
    out.set(m.data.subarray(r * inputs, (r + 1) * inputs));
    return;
  }
  const groups = Math.ceil(inputs / m.group);
  const stride = m.kind === 'int8' ? inputs : Math.ceil(inputs / 2);
  for (let g = 0; g < groups; g++) {
    const raw = m.scales[r * groups + g]!;
    const scale = scaleCodes ? scaleValue(scaleCode(raw)) : raw;
    const end = Math.min(inputs, (g + 1) * m.group);
    if (m.kind === 'int8') {
      for (let k = g * m.group; k < end; k++) out[k] = m.data[r * stride + k]! * scale;
      continue;
    }
    for (let k = g * m.group; k < end; k++) {
      const nibble = (m.data[r * stride + (k >> 1)]! >> (4 * (k & 1))) & 15;
      out[k] = (m.offset ? nibble - 8 : (nibble << 28) >> 28) * scale;
    }
  }
}

/** The same matrix in f32. */
export function dequantise(m: SourceMatrix): SourceMatrix & { kind: 'f32' } {
  if (m.kind === 'f32') return m;
  const { rows, inputs } = m;
  const data = new Float32Array(rows * inputs);
  for (let r = 0; r < rows; r++) readRow(m, r, data.subarray(r * inputs, (r + 1) * inputs));
  return { kind: 'f32', rows, inputs, data };
}

/** Parts as they are if all have one kind, else all in f32 (a model may keep sensitive tensors wider). */
export function alike(parts: SourceMatrix[]): SourceMatrix[] {
  return parts.every((part) => part.kind === parts[0]!.kind) ? parts : parts.map(dequantise);
}

/** Rows of heads, each padded with rows of zeros from `width` to `padded`. */
export function padHeadRows(m: SourceMatrix, width: number, padded: number): SourceMatrix {
  if (width === padded) return m;
  const rows = (m.rows / width) * padded;
  const spread = <T extends Float32Array | Int8Array | Uint8Array>(from: T, to: T, stride: number): T => {
    for (let r = 0; r < m.rows; r++) {
      to.set(
        from.subarray(r * stride, (r + 1) * stride),
        (Math.floor(r / width) * padded + (r % width)) * stride,
      );
    }
    return to;
  };
  if (m.kind === 'f32')
    return { ...m, rows, data: spread(m.data, new Float32Array(rows * m.inputs), m.inputs) };
  const groups = Math.ceil(m.inputs / m.group);
  const scales = spread(m.scales, new Float32Array(rows * groups), groups);
  if (m.kind === 'int8')
    return { ...m, rows, scales, data: spread(m.data, new Int8Array(rows * m.inputs), m.inputs) };
  // What nibbles the padding has does not matter: its scales are zero.
  const stride = Math.ceil(m.inputs / 2);
  return {
    ...m,
    rows,
    scales,
    data: spread(m.data, new Uint8Array(rows * stride).fill(m.offset ? 0x88 : 0), stride),
  };
}

/** Inputs of heads padded likewise. In f32 where anything moves, because groups of quantised inputs would break up. */
export function padHeadInputs(m: SourceMatrix, width: number, padded: number): SourceMatrix {
  if (width === padded) return m;
  const { rows, inputs: before, data: from } = dequantise(m);
  const inputs = (before / width) * padded;
  const data = new Float32Array(rows * inputs);
  for (let r = 0; r < rows; r++)
    data.set(padHeadNumbers(from.subarray(r * before, (r + 1) * before), width, padded), r * inputs);
  return { kind: 'f32', rows, inputs, data };
}

/** Numbers of heads padded likewise: biases, norms over all heads. */
export function padHeadNumbers(values: Float32Array, width: number, padded: number): Float32Array {
  if (width === padded) return values;
  const out = new Float32Array((values.length / width) * padded);
  for (let i = 0; i < values.length; i++) out[Math.floor(i / width) * padded + (i % width)] = values[i]!;
  return out;
}
