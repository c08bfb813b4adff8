// The wasm-simd target as a TargetSet entry: its probe as a line with a reason, its failures as the runtime's errors.

import type { Manifest, ModelFiles } from '@baton/compiler';
import type { Backend } from '../backend.ts';
import { RuntimeError, messageOf } from '../errors.ts';
import type { TargetProbe } from './target-set.ts';
import { openWasmSimd, probeWasmSimd } from './wasm-simd/index.ts';

export function probeSimd(): TargetProbe {
  const state = probeWasmSimd();
  return {
    target: 'wasm-simd',
    available: state.available,
    reason: state.available ? state.detail : state.reason,
  };
}

export async function openSimd(
  manifest: Manifest,
  files: ModelFiles,
  options: { threads?: number } = {},
): Promise<Backend> {
  try {
    return await openWasmSimd(
      manifest,
      files,
      options.threads === undefined ? {} : { threads: options.threads },
    );
  } catch (error) {
    const what = messageOf(error);
    throw new RuntimeError('target-refused', what.startsWith('wasm-simd') ? what : `wasm-simd: ${what}`, {
      cause: error,
    });
  }
}
