// What is compared: every runtime at every weight width it has, where it runs and which prepared file it reads.
import { ONNX_BITS, ONNX_FILES, type OnnxType } from './export-onnx.ts';
import type { TargetId } from '../../src/backend.ts';
import type { GgufType } from '../gguf.ts';

export const PLACES = ['browser', 'node'] as const;
export type Place = (typeof PLACES)[number];

/** Runs are kept apart by width, so that not everything must be in memory at once. */
export const WIDTHS = ['quantised', 'float'] as const;
export type Widths = (typeof WIDTHS)[number];

export type Subject = { id: string; place: Place; bitsPerWeight: number; weights: string } & (
  | { runtime: 'baton'; reads: 'baton'; target: TargetId; model: BatonModel }
  | { runtime: 'wllama' | 'node-llama-cpp'; reads: 'gguf'; type: GgufType }
  | { runtime: 'transformers.js' | 'onnxruntime-node'; reads: 'onnx'; type: OnnxType }
);

/** ONNX Runtime's CPU kernels want long chunks, and decode steps there compute with every slot, so the cache begins small. */
const WIDE = { chunk: 256, attention: 'grouped', slots: [512] } as const;
const USUAL = { chunk: 64, attention: 'primitive', slots: [] } as const;

/**
 * Compiled variants, by the name of their folder; `slots` are capacities in front of all that are asked for. Scales are f32
 * in the compiled file, so the int4 that ONNX Runtime reads has one per 64 inputs, which makes 4.5 bits as llama.cpp's Q4_0.
 */
export const BATON_MODELS = {
  int4: { ...USUAL, weights: 'int4', lowering: 'fused', group: 32 },
  'int4-wide': {
    ...WIDE,
    weights: 'int4',
    lowering: 'fused',
    group: 64,
    chunk: 128,
    prefillWeights: 'bytes',
  },
  int8: { ...USUAL, weights: 'int8', lowering: 'fused', group: 32 },
  'int8-integer': { ...WIDE, weights: 'int8', lowering: 'integer', group: 'channel' },
  f32: { ...USUAL, weights: 'f32', lowering: 'portable', group: 32 },
  'f32-wide': { ...WIDE, weights: 'f32', lowering: 'fused', group: 32 },
  'int8-portable': { ...USUAL, weights: 'int8', lowering: 'portable', group: 32 },
} as const;
export type BatonModel = keyof typeof BATON_MODELS;

// Scales are 16 bits in the kernels' own packing, f32 in the compiled file that ONNX Runtime reads.
const BATON_BITS: Record<BatonModel, { own: number; ort: number }> = {
  int4: { own: 4.5, ort: 5 },
  'int4-wide': { own: 4.25, ort: 4.5 },
  int8: { own: 8.5, ort: 9 },
  'int8-integer': { own: 8.5, ort: 8 },
  f32: { own: 32, ort: 32 },
  'f32-wide': { own: 32, ort: 32 },
  'int8-portable': { own: 8.5, ort: 9 },
};

function baton(place: Place, target: TargetId, model: BatonModel): Subject {
  const bits = BATON_BITS[model][target === 'wasm-simd' ? 'own' : 'ort'];
  const { weights } = BATON_MODELS[model];
  return {
    id: `baton ${target} ${weights}`,
    place,
    runtime: 'baton',
    reads: 'baton',
    target,
    model,
    weights,
    bitsPerWeight: bits,
  };
}

function llama(place: Place, runtime: 'wllama' | 'node-llama-cpp', type: GgufType): Subject {
  const bitsPerWeight = type === 'q4_0' ? 4.5 : 8.5;
  return { id: `${runtime} ${type}`, place, runtime, reads: 'gguf', type, weights: type, bitsPerWeight };
}

function onnx(place: Place, runtime: 'transformers.js' | 'onnxruntime-node', type: OnnxType): Subject {
  return {
    id: `${runtime} ${type}`,
    place,
    runtime,
    reads: 'onnx',
    type,
    weights: type,
    bitsPerWeight: ONNX_BITS[type],
  };
}

/** In the order of their turns: neighbours in width follow one another. */
export const SUBJECTS: readonly Subject[] = [
  baton('browser', 'wasm-simd', 'int4'),
  llama('browser', 'wllama', 'q4_0'),
  onnx('browser', 'transformers.js', 'q4'),
  baton('browser', 'wasm-simd', 'int8'),
  llama('browser', 'wllama', 'q8_0'),
  onnx('browser', 'transformers.js', 'q8'),
  baton('browser', 'wasm', 'int8-portable'),
  baton('browser', 'wasm-simd', 'f32'),
  onnx('browser', 'transformers.js', 'fp32'),
  baton('browser', 'wasm', 'f32'),
  baton('browser', 'webnn-cpu', 'f32'),
  baton('browser', 'webgpu', 'int4'),
  baton('node', 'wasm-simd', 'int4'),
  baton('node', 'ort-cpu', 'int4-wide'),
  llama('node', 'node-llama-cpp', 'q4_0'),
  onnx('node', 'onnxruntime-node', 'q4'),
  baton('node', 'wasm-simd', 'int8'),
  baton('node', 'ort-cpu', 'int8-integer'),
  llama('node', 'node-llama-cpp', 'q8_0'),
  onnx('node', 'onnxruntime-node', 'q8'),
  baton('node', 'wasm-simd', 'f32'),
  baton('node', 'ort-cpu', 'f32-wide'),
  onnx('node', 'onnxruntime-node', 'fp32'),
];

/** The subjects of one run. Baton's int4 is in both kinds, as the common measure. */
export function subjectsOf(place: Place, widths: Widths, only: readonly string[]): Subject[] {
  return SUBJECTS.filter((s) => s.place === place)
    .filter((s) => s.id === COMMON || s.bitsPerWeight < 16 === (widths === 'quantised'))
    .filter((s) => only.length === 0 || only.some((part) => s.id.includes(part)));
}

const COMMON = 'baton wasm-simd int4';

/** Where a subject's files lie below the prepared folder. */
export function modelPath(subject: Subject): string {
  if (subject.reads === 'baton') return `baton/${subject.model}`;
  return subject.reads === 'gguf' ? `gguf/${subject.type}.gguf` : 'onnx';
}

export function onnxFile(folder: string, type: OnnxType): string {
  return `${folder}/onnx/${ONNX_FILES[type]}.onnx`;
}
