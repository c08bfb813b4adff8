// The families, one description each. To add one: describe it here, add a fixture (test/fixtures/make-fixtures.py); the
// parity suite runs every fixture it finds.
import type { Config } from './config.ts';
import { layerTypeAt, POST, PRE, SANDWICH, type Family, type LayerKind } from './family.ts';

const full: LayerKind = { window: null, rope: 'main' };

/** Llama 2 and 3.x, and everything that calls itself llama: SmolLM2, TinyLlama, DeepSeek-R1-Distill-Llama. */
const llama: Family = {
  ...PRE,
  name: 'llama',
  modelTypes: ['llama'],
  defaults: { rmsNormEps: 1e-6, tiedEmbeddings: false, maxPositions: 2048 },
  queryKeyNorm: 'none',
  queryKeyValueBias: 'configured',
  outputBias: 'configured',
  feedForwardBias: 'configured',
};

/** Layers from max_window_layers on slide when use_sliding_window is set. */
function qwenLayer(config: Config, index: number): LayerKind {
  const window = config.has('sliding_window') ? config.count('sliding_window', null) : 4096;
  const from = config.number('max_window_layers', 28);
  const type = layerTypeAt(config, index);
  const slides =
    config.boolean('use_sliding_window', false) && (type ? type === 'sliding_attention' : index >= from);
  return slides ? { window, rope: 'main' } : full;
}

/** Qwen 2 and 2.5, DeepSeek-R1-Distill-Qwen. */
const qwen2: Family = {
  ...PRE,
  name: 'qwen2',
  modelTypes: ['qwen2'],
  defaults: { kvHeads: 32, rmsNormEps: 1e-6, tiedEmbeddings: false, maxPositions: 32768 },
  queryKeyNorm: 'none',
  queryKeyValueBias: true,
  outputBias: false,
  layer: qwenLayer,
};

const qwen3: Family = {
  ...PRE,
  name: 'qwen3',
  modelTypes: ['qwen3'],
  defaults: { kvHeads: 32, headDim: 128, rmsNormEps: 1e-6, tiedEmbeddings: false, maxPositions: 32768 },
  queryKeyNorm: 'head',
  queryKeyValueBias: 'configured',
  outputBias: 'configured',
  layer: qwenLayer,
};

function windowEverywhere(config: Config, absent: number | null): LayerKind {
  const window = config.has('sliding_window') ? config.count('sliding_window', null) : absent;
  return { window, rope: 'main' };
}

const mistral: Family = {
  ...PRE,
  name: 'mistral',
  modelTypes: ['mistral'],
  defaults: { kvHeads: 8, rmsNormEps: 1e-6, tiedEmbeddings: false, maxPositions: 131072 },
  queryKeyNorm: 'none',
  queryKeyValueBias: false,
  outputBias: false,
  layer: (config) => windowEverywhere(config, 4096),
};

/** Phi-3, 3.5 and 4 mini. */
const phi3: Family = {
  ...PRE,
  name: 'phi3',
  modelTypes: ['phi3'],
  defaults: { rmsNormEps: 1e-5, tiedEmbeddings: false, maxPositions: 4096 },
  queryKeyNorm: 'none',
  queryKeyValueBias: false,
  outputBias: false,
  fusedProjections: true,
  partialRotation: true,
  layer: (config) => windowEverywhere(config, null),
};

const gemma2: Family = {
  ...SANDWICH,
  name: 'gemma2',
  modelTypes: ['gemma2'],
  defaults: { kvHeads: 4, headDim: 256, rmsNormEps: 1e-6, tiedEmbeddings: true, maxPositions: 8192 },
  queryKeyNorm: 'none',
  normOffset: 1,
  activationField: 'hidden_activation',
  queryKeyValueBias: 'configured',
  outputBias: 'configured',
  scaledEmbeddings: true,
  queryScalar: true,
  softCaps: { attention: 50, logits: 30 },
  layer(config, index) {
    const window = config.count('sliding_window', 4096);
    // Gemma 2 9B says it twice; transformers looks at the other.
    if (config.count('sliding_window_size', window) !== window)
      config.unsupported('sliding_window_size', `is not sliding_window (${window})`);
    const type = layerTypeAt(config, index);
    const slides = type ? type === 'sliding_attention' : index % 2 === 0;
    return slides ? { window, rope: 'main' } : full;
  },
};

/** The text part of Gemma 3; a multimodal checkpoint's other parts are left out. */
const gemma3: Family = {
  ...SANDWICH,
  name: 'gemma3',
  modelTypes: ['gemma3_text', 'gemma3'],
  defaults: {
    heads: 8,
    vocabSize: 262208,
    kvHeads: 4,
    headDim: 256,
    rmsNormEps: 1e-6,
    tiedEmbeddings: true,
    maxPositions: 131072,
  },
  queryKeyNorm: 'head',
  normOffset: 1,
  activationField: 'hidden_activation',
  queryKeyValueBias: 'configured',
  outputBias: 'configured',
  scaledEmbeddings: true,
  queryScalar: true,
  // transformers keeps attn_logit_softcapping in the configuration but never applies it here (modeling_gemma3.py, 5.18).
  softCaps: { attention: 'unused', logits: null },
  ropeByLayerType: { defaultTheta: { full: 1e6, sliding: 1e4 }, slidingThetaField: 'rope_local_base_freq' },
  layer(config, index) {
    const window = config.count('sliding_window', 4096);
    // Every sixth layer sees everything. transformers also writes the pattern with a leading underscore, and never reads that.
    const pattern = config.count('sliding_window_pattern', 6);
    config.get('_sliding_window_pattern');
    const type = layerTypeAt(config, index);
    const slides = type ? type === 'sliding_attention' : (index + 1) % pattern !== 0;
    return slides ? { window, rope: 'sliding' } : full;
  },
};

const smollm3: Family = {
  ...PRE,
  name: 'smollm3',
  modelTypes: ['smollm3'],
  defaults: { kvHeads: 4, rmsNormEps: 1e-6, tiedEmbeddings: true, theta: 2e6, maxPositions: 32768 },
  queryKeyNorm: 'none',
  queryKeyValueBias: 'configured',
  outputBias: 'configured',
  feedForwardBias: 'configured',
  layer(config, index, layers) {
    const interval = config.count('no_rope_layer_interval', 4);
    const flag = config.perLayer('no_rope_layers', layers)?.[index];
    if (![undefined, 0, 1, false, true].includes(flag as undefined))
      config.unsupported('no_rope_layers', `holds ${JSON.stringify(flag)}, not 1 (rotated) or 0`);
    const rotates = flag === undefined ? (index + 1) % interval !== 0 : Boolean(flag);
    const window = config.count('sliding_window', null);
    const type = layerTypeAt(config, index);
    // transformers masks by layer_types alone; the switch only has a say in making them.
    const switched = config.boolean('use_sliding_window', false) && !rotates;
    const slides = type ? type === 'sliding_attention' : switched;
    return { window: slides ? window : null, rope: rotates ? 'main' : null };
  },
};

const olmo2: Family = {
  ...POST,
  name: 'olmo2',
  modelTypes: ['olmo2'],
  defaults: { rmsNormEps: 1e-5, tiedEmbeddings: false, maxPositions: 2048 },
  queryKeyNorm: 'projection',
  queryKeyValueBias: 'configured',
  outputBias: 'configured',
};

export const FAMILIES: readonly Family[] = [
  llama,
  qwen2,
  qwen3,
  mistral,
  phi3,
  gemma2,
  gemma3,
  smollm3,
  olmo2,
];
