// What this engine can do, found by validating tiny modules and by looking for shared memory.
import type { KernelSet } from './kernels.ts';

// (module (func (result v128) i32.const 0 i8x16.splat)), and the same ending in i32x4.relaxed_dot_i8x16_i7x16_add_s.
const HEAD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0];
const SIMD = [...HEAD, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11];
const RELAXED = [...HEAD, 10, 19, 1, 17, 0, 65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 147, 2, 11];

export interface Features {
  simd: boolean;
  relaxed: boolean;
  /** Shared memory between threads: always in Node, in a browser on cross-origin isolated pages. */
  shared: boolean;
  /** Logical cores reported by the platform. */
  cores: number;
}

export function detectFeatures(): Features {
  const validate = (bytes: number[]): boolean => WebAssembly.validate(new Uint8Array(bytes));
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false;
  return {
    simd: validate(SIMD),
    relaxed: validate(RELAXED),
    shared: isolated && typeof SharedArrayBuffer !== 'undefined' && typeof Atomics.waitAsync === 'function',
    cores: navigator.hardwareConcurrency || 1,
  };
}

export function bestKernelSet(features: Features): KernelSet {
  return features.relaxed ? 'relaxed' : 'plain';
}
