// Loads the ONNX Runtime Web build that suits a target, once each, with explicit addresses for its .wasm and .mjs: the
// build that finds them by itself starts its pthread workers from our own worker's file, which then runs again in each.
// Plain build for WASM (the others decode up to twice as slowly there); for WebGPU and WebNN the JSPI build where the
// browser has JSPI (10 MB smaller, and it fails cleanly when a WebNN graph cannot be built), else the asyncify build.

import type * as Ort from 'onnxruntime-web';

export type OrtModule = typeof Ort;
export type OrtBuild = 'wasm' | 'jspi' | 'asyncify';

const loaded = new Map<OrtBuild, Promise<OrtModule>>();

export function buildFor(target: string): OrtBuild {
  if (target === 'wasm') return 'wasm';
  return 'Suspending' in WebAssembly ? 'jspi' : 'asyncify';
}

/** Threads that WASM can use here: shared memory needs a cross-origin isolated page. */
export function wasmThreads(): number {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.max(1, Math.min(4, navigator.hardwareConcurrency || 1));
}

/** The module with threads and addresses set. `threads` counts only on the first load of a build. */
export function loadOrt(build: OrtBuild, threads: number): Promise<OrtModule> {
  let module = loaded.get(build);
  if (!module) {
    module = load(build).then(({ ort, wasm, mjs }) => {
      ort.env.wasm.wasmPaths = { wasm, mjs };
      ort.env.wasm.numThreads = threads;
      ort.env.logLevel = 'error';
      return ort;
    });
    loaded.set(build, module);
  }
  return module;
}

interface Parts {
  ort: OrtModule;
  wasm: string;
  mjs: string;
}

async function load(build: OrtBuild): Promise<Parts> {
  if (build === 'wasm') {
    const [ort, wasm, mjs] = await Promise.all([
      import('onnxruntime-web/wasm'),
      import('onnxruntime-web/ort-wasm-simd-threaded.wasm?url'),
      import('onnxruntime-web/ort-wasm-simd-threaded.mjs?url'),
    ]);
    return { ort: ort as unknown as OrtModule, wasm: wasm.default, mjs: mjs.default };
  }
  if (build === 'jspi') {
    const [ort, wasm, mjs] = await Promise.all([
      import('onnxruntime-web/jspi'),
      import('onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url'),
      import('onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url'),
    ]);
    return { ort: ort as unknown as OrtModule, wasm: wasm.default, mjs: mjs.default };
  }
  const [ort, wasm, mjs] = await Promise.all([
    import('onnxruntime-web/webgpu'),
    import('onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url'),
    import('onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url'),
  ]);
  return { ort: ort as unknown as OrtModule, wasm: wasm.default, mjs: mjs.default };
}
