// Checkpoint elements to f32, a slab at a time.
import { halfToFloat } from '../host/half.ts';
import type { CheckpointDtype } from './safetensors.ts';

let halves: Float32Array | undefined;

/** Every binary16 value by its bits: a look-up is several times faster than arithmetic. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToFloat(bits));
  return halves;
}

/** Little-endian elements to f32. F32 input is returned as a view where its alignment allows. */
export function toFloats(bytes: Uint8Array, dtype: CheckpointDtype): Float32Array {
  if (dtype === 'F32') {
    const start = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    return new Float32Array(start.buffer, start.byteOffset, start.length / 4);
  }
  const start = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  const words = new Uint16Array(start.buffer, start.byteOffset, start.length / 2);
  const out = new Float32Array(words.length);
  if (dtype === 'BF16') {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < words.length; i++) bits[i] = words[i]! << 16;
  } else {
    const table = halfTable();
    for (let i = 0; i < words.length; i++) out[i] = table[words[i]!]!;
  }
  return out;
}
