// Streams the checkpoint's weights into the output files in the order of the layout, a slab of rows at a time, so that
// memory stays flat whatever the size of the model or of one tensor.
import { CompileError } from '../errors.ts';
import type { FileWriter } from '../files.ts';
import { convert } from './convert.ts';
import type { PlacedTensor } from './layout.ts';
import { slabsOf, type ReadAhead, type SlabContent } from './read-ahead.ts';

/** An output file that knows how far it has been written. */
export interface PositionedWriter extends FileWriter {
  readonly position: number;
}

/** Writes one tensor at its place; `onBytes` hears of bytes read as they are done. Returns its relative error. */
export async function writeTensor(
  reader: ReadAhead,
  placed: PlacedTensor,
  out: PositionedWriter,
  onBytes: (count: number) => void,
): Promise<number> {
  const { source, tensor, quantisationGroup } = placed;
  const form = { dtype: tensor.dtype, group: quantisationGroup, zeroPoint: tensor.zeroPoint ?? 0 };
  const scales: Float32Array[] = [];
  let error = 0;
  let sum = 0;
  await padTo(out, tensor.offset);
  for (const _ of slabsOf(placed)) {
    const slab = await reader.next();
    const part = convert(slab.bytes, slab.dtype, source.add, form);
    if (!Number.isFinite(part.squaredSum)) throw unusable(slab, source.tensor);
    const { length } = slab.bytes;
    reader.done(slab);
    if (!Number.isFinite(part.squaredError)) {
      throw new CompileError(
        'unsupported',
        `tensor ${source.tensor} has values beyond f16; choose another weight type for it (keep)`,
      );
    }
    error += part.squaredError;
    sum += part.squaredSum;
    // Views into the converter's memory, which the next slab takes over.
    const kept = part.scales.slice();
    await out.write(part.data);
    if (tensor.scales) scales.push(repeat(kept, quantisationGroup / tensor.group!));
    onBytes(length);
  }
  if (tensor.scales) {
    await padTo(out, tensor.scales.offset);
    for (const part of scales) await out.write(bytesOf(part));
  }
  return sum === 0 ? 0 : Math.sqrt(error / sum);
}

/** Why the squares of a slab have no finite sum. */
function unusable({ bytes, dtype }: SlabContent, tensor: string): CompileError {
  const { data } = convert(bytes, dtype, 0, { dtype: 'f32', group: 0, zeroPoint: 0 });
  const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  if (!values.every(Number.isFinite))
    return new CompileError('bad-checkpoint', `tensor ${tensor} holds NaN or infinite values`);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return new CompileError(
    'unsupported',
    `tensor ${tensor} has values of up to ${largest.toPrecision(2)}; from about 1e19 on their squares are too large for f32. ` +
      'Look whether the checkpoint is damaged',
  );
}

/** Each scale `times` times: what fused kernels want of a scale that covers several of their blocks. */
function repeat(scales: Float32Array, times: number): Float32Array {
  if (times === 1) return scales;
  const out = new Float32Array(scales.length * times);
  for (let i = 0; i < scales.length; i++) out.fill(scales[i]!, i * times, (i + 1) * times);
  return out;
}

async function padTo(out: PositionedWriter, offset: number): Promise<void> {
  const gap = offset - out.position;
  if (gap > 0) await out.write(new Uint8Array(gap));
}

function bytesOf(array: Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
