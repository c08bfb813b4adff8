// Host buffers for graph inputs and outputs in a port's own number type. Half precision needs Float16Array (Node 24,
// Chrome 135, Firefox 129, Safari 18.2); without it a model with f16 boundaries is refused with one line.

import type { ManifestPort } from '@baton/compiler/manifest';
import { RuntimeError } from '../../errors.ts';

export type FloatBuffer = Float32Array | Float16Array;

/** Zeros, one number per element of the port. */
export function floatBuffer(port: Pick<ManifestPort, 'name' | 'dtype' | 'dims'>): FloatBuffer {
  const size = elements(port);
  if (port.dtype === 'f32') return new Float32Array(size);
  if (port.dtype === 'f16') {
    if (typeof Float16Array === 'undefined') {
      throw new RuntimeError(
        'target-unavailable',
        `input ${port.name} is f16, and this browser has no Float16Array; compile with f32 boundaries`,
      );
    }
    return new Float16Array(size);
  }
  throw new RuntimeError('bad-model', `port ${port.name} is ${port.dtype}; a float type is needed here`);
}

export function elements(port: Pick<ManifestPort, 'dims'>): number {
  return port.dims.reduce((a, b) => a * b, 1);
}

/** ONNX Runtime's name of a port's type. */
export function ortType(port: Pick<ManifestPort, 'dtype'>): 'float32' | 'float16' | 'int32' {
  return port.dtype === 'f32' ? 'float32' : port.dtype === 'f16' ? 'float16' : 'int32';
}

/** `values` as f32; the same array where it already is. */
export function asFloat32(values: FloatBuffer): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

/**
 * Frees the memory of numbers that nobody reads any more now, not when the garbage collector comes by: ONNX Runtime copies
 * every result of every run into a new buffer, and only a buffer that is free again before the next run is used for it.
 * Buffers that other views share, and runtimes that cannot hand a buffer over (Node 20), are left alone.
 */
export function discard(values: FloatBuffer): void {
  const { buffer } = values;
  if (buffer instanceof ArrayBuffer && values.byteLength === buffer.byteLength) buffer.transfer?.(0);
}
