// The execution target wasm-simd: own kernels for WebAssembly SIMD, in Node and in browsers.
import type { Manifest, ModelFiles } from '@baton/compiler';
import type { WasmSimdOptions } from './backend.ts';
import { WasmSimdBackend } from './backend.ts';
import { networkOf, storedWeightsOf, unsupported } from './compiled.ts';
import { detectFeatures } from './features.ts';

export type { WasmSimdOptions } from './backend.ts';

/** Whether this engine, and for a given model this target, can run; `reason` is one line where it cannot. */
export function probeWasmSimd(
  manifest?: Manifest,
): { available: true; detail: string } | { available: false; reason: string } {
  const features = detectFeatures();
  if (!features.simd) return { available: false, reason: 'this engine has no WebAssembly SIMD' };
  const missing = manifest && unsupported(manifest);
  if (missing) return { available: false, reason: `the model has ${missing}` };
  const threads = features.shared
    ? `up to ${features.cores} threads`
    : 'one thread (the page is not cross-origin isolated)';
  return { available: true, detail: `${features.relaxed ? 'relaxed' : 'plain'} SIMD, ${threads}` };
}

/**
 * Opens a compiled model on this target. Rejects with the reason when the target cannot run it, with RangeError when
 * memory does not suffice.
 */
export async function openWasmSimd(
  manifest: Manifest,
  files: ModelFiles,
  options: Omit<WasmSimdOptions, 'capacities' | 'files' | 'onClose'> = {},
): Promise<WasmSimdBackend> {
  const probe = probeWasmSimd(manifest);
  if (!probe.available) throw new Error(`wasm-simd: ${probe.reason}`);
  const { weights, embedding } = storedWeightsOf(manifest, files);
  const backend = await WasmSimdBackend.create(networkOf(manifest), weights, {
    capacities: manifest.capacities,
    maxRows: manifest.chunk,
    files,
    onClose: () => embedding.close(),
    ...options,
  });
  void embedding.follow();
  return backend;
}
