// The targets of a Node process that this package opens itself. OpenVINO's are the bridge's.

import type { TargetId } from '../backend.ts';
import { RuntimeError } from '../errors.ts';
import type { TargetProbe, TargetSet } from '../targets/target-set.ts';
import { openSimd, probeSimd } from '../targets/simd.ts';
import { diskFacts } from './disk-facts.ts';
import { openOrtCpu, type OrtCpuOptions } from './ort-cpu.ts';
import { loadOnnxRuntime } from './onnxruntime.ts';

export function nodeTargets(options: OrtCpuOptions = {}): TargetSet {
  return {
    order: ['ort-cpu', 'wasm-simd'],
    facts: diskFacts(),
    probe,
    open: async (target, manifest, files) => {
      const state = await probe(target);
      if (!state.available) throw new RuntimeError('target-unavailable', `${target}: ${state.reason}`);
      if (target === 'wasm-simd') return openSimd(manifest, files, options);
      return openOrtCpu(manifest, files, options);
    },
  };
}

async function probe(target: TargetId): Promise<TargetProbe> {
  if (target === 'wasm-simd') return probeSimd();
  if (target !== 'ort-cpu') {
    return {
      target,
      available: false,
      reason: target.startsWith('openvino') ? 'is opened by the bridge' : 'needs a browser',
    };
  }
  try {
    const ort = await loadOnnxRuntime();
    return { target, available: true, reason: `onnxruntime-node ${ort.env.versions.node ?? ''}`.trim() };
  } catch (error) {
    return {
      target,
      available: false,
      reason: `onnxruntime-node does not load: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}
