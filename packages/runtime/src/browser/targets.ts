// The browser's execution targets: which exist here, why the others do not, and how to open one. For a page or a
// dedicated worker; models are opened in a worker (client.ts).

import type { TargetId } from '../backend.ts';
import { RuntimeError, messageOf } from '../errors.ts';
import type { TargetProbe, TargetSet } from '../targets/target-set.ts';
import { openSimd, probeSimd } from '../targets/simd.ts';
import { browserFacts } from './browser-facts.ts';
import { openOrtWeb, type OrtWebTarget } from './ort-host.ts';
import { wasmThreads } from './ort-loader.ts';

/** Best first where nothing has been measured: accelerators, then the CPU. */
export const BROWSER_TARGETS = [
  'webnn-npu',
  'webnn-gpu',
  'webgpu',
  'wasm-simd',
  'wasm',
  'webnn-cpu',
] as const satisfies readonly TargetId[];

/** `patienceMs`: what one session of ONNX Runtime may take to open, up to a minute. */
export function browserTargetSet(patienceMs?: number): TargetSet {
  return {
    order: BROWSER_TARGETS,
    facts: browserFacts(),
    probe,
    open: async (target, manifest, files) => {
      const state = await probe(target);
      if (!state.available) throw new RuntimeError('target-unavailable', `${target}: ${state.reason}`);
      if (target === 'wasm-simd') return openSimd(manifest, files);
      return openOrtWeb(
        target as OrtWebTarget,
        manifest,
        files,
        patienceMs === undefined ? {} : { patienceMs },
      );
    },
  };
}

export const browserTargets: TargetSet = browserTargetSet();

/** Every browser target with its state here. Takes a moment: it asks for a GPU adapter and for WebNN contexts. */
export async function probeTargets(): Promise<TargetProbe[]> {
  return Promise.all(BROWSER_TARGETS.map(probe));
}

async function probe(target: TargetId): Promise<TargetProbe> {
  const no = (reason: string): TargetProbe => ({ target, available: false, reason });
  try {
    if (target === 'wasm-simd') return probeSimd();
    if (target === 'wasm') return { target, available: true, reason: wasmReason() };
    if (target === 'webgpu') return await probeWebGpu(target);
    if (target.startsWith('webnn-')) return await probeWebNn(target);
    return no('does not exist in a browser');
  } catch (error) {
    return no(messageOf(error));
  }
}

function wasmReason(): string {
  const threads = wasmThreads();
  if (threads > 1) return `${threads} threads`;
  return globalThis.crossOriginIsolated
    ? '1 thread (one processor core)'
    : '1 thread (the page is not cross-origin isolated: COOP and COEP headers allow more)';
}

async function probeWebGpu(target: TargetId): Promise<TargetProbe> {
  if (!globalThis.isSecureContext)
    return { target, available: false, reason: 'WebGPU needs https or localhost' };
  if (!('gpu' in navigator))
    return { target, available: false, reason: 'this browser has no WebGPU (navigator.gpu)' };
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter)
    return { target, available: false, reason: 'WebGPU finds no adapter: no GPU, or its driver is blocked' };
  const { vendor, architecture, description } = adapter.info;
  const name = [description || vendor, architecture].filter(Boolean).join(' ');
  return { target, available: true, reason: name === '' ? 'adapter found' : name };
}

interface MachineLearning {
  createContext(options: { deviceType: string }): Promise<{ destroy?(): void }>;
}

async function probeWebNn(target: TargetId): Promise<TargetProbe> {
  if (!globalThis.isSecureContext)
    return { target, available: false, reason: 'WebNN needs https or localhost' };
  const ml = (navigator as Navigator & { ml?: MachineLearning }).ml;
  if (!ml) {
    return {
      target,
      available: false,
      reason:
        'this browser has no WebNN (navigator.ml); in Chrome and Edge it is behind chrome://flags "Enables WebNN API"',
    };
  }
  const deviceType = target.slice('webnn-'.length);
  try {
    const context = await ml.createContext({ deviceType });
    context.destroy?.();
  } catch (error) {
    return { target, available: false, reason: `WebNN gives no ${deviceType} context: ${messageOf(error)}` };
  }
  // The device type is a hint in WebNN: where there is none, Chromium runs the graph on the CPU and says nothing.
  return {
    target,
    available: true,
    reason:
      deviceType === 'cpu'
        ? 'context created'
        : `context created (${deviceType} is a hint; see chrome://webnn-internals)`,
  };
}
