// Configurations of published models, written down from what is known of them (nothing is fetched here): strictness about
// unknown fields must not turn real models away, and what is read must be what the models are.
import { expect, it } from 'vitest';
import { describe as describeModel, findFamily } from './describe.ts';

/** Fields that nearly all of them carry. */
const USUAL = {
  architectures: ['SomeForCausalLM'],
  attention_dropout: 0,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  initializer_range: 0.02,
  torch_dtype: 'bfloat16',
  transformers_version: '4.46.0',
  use_cache: true,
};

const FACTORS = Array.from({ length: 48 }, (_, i) => 1 + i / 10);

const MODELS: readonly [id: string, config: Record<string, unknown>, expected: Record<string, unknown>][] = [
  [
    'meta-llama/Llama-3.2-1B-Instruct',
    {
      ...USUAL,
      attention_bias: false,
      head_dim: 64,
      hidden_size: 2048,
      intermediate_size: 8192,
      max_position_embeddings: 131072,
      mlp_bias: false,
      model_type: 'llama',
      num_attention_heads: 32,
      num_hidden_layers: 16,
      num_key_value_heads: 8,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_theta: 500000,
      tie_word_embeddings: true,
      vocab_size: 128256,
      rope_scaling: {
        factor: 32,
        high_freq_factor: 4,
        low_freq_factor: 1,
        original_max_position_embeddings: 8192,
        rope_type: 'llama3',
      },
    },
    { headDim: 64, kvHeads: 8, tiedEmbeddings: true, rmsNormEps: 1e-5 },
  ],
  [
    'HuggingFaceTB/SmolLM2-135M-Instruct',
    {
      ...USUAL,
      attention_bias: false,
      hidden_size: 576,
      intermediate_size: 1536,
      is_llama_config: true,
      max_position_embeddings: 8192,
      mlp_bias: false,
      model_type: 'llama',
      num_attention_heads: 9,
      num_hidden_layers: 30,
      num_key_value_heads: 3,
      pad_token_id: 2,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_interleaved: false,
      rope_scaling: null,
      rope_theta: 100000,
      tie_word_embeddings: true,
      vocab_size: 49152,
      'transformers.js_config': { kv_cache_dtype: { q4f16: 'float16', fp16: 'float16' } },
    },
    { headDim: 64, heads: 9, kvHeads: 3 },
  ],
  [
    'deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B',
    {
      ...USUAL,
      hidden_size: 1536,
      intermediate_size: 8960,
      max_position_embeddings: 131072,
      max_window_layers: 21,
      model_type: 'qwen2',
      num_attention_heads: 12,
      num_hidden_layers: 28,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      sliding_window: 4096,
      tie_word_embeddings: false,
      use_mrope: false,
      use_sliding_window: false,
      vocab_size: 151936,
    },
    { headDim: 128, kvHeads: 2, tiedEmbeddings: false, norms: 'pre' },
  ],
  [
    'Qwen/Qwen3-0.6B',
    {
      ...USUAL,
      attention_bias: false,
      head_dim: 128,
      hidden_size: 1024,
      intermediate_size: 3072,
      max_position_embeddings: 40960,
      max_window_layers: 28,
      model_type: 'qwen3',
      num_attention_heads: 16,
      num_hidden_layers: 28,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: true,
      use_sliding_window: false,
      vocab_size: 151936,
    },
    { headDim: 128, heads: 16, queryKeyNorm: 'head', tiedEmbeddings: true },
  ],
  [
    'mistralai/Mistral-7B-Instruct-v0.3',
    {
      ...USUAL,
      hidden_size: 4096,
      intermediate_size: 14336,
      max_position_embeddings: 32768,
      model_type: 'mistral',
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-5,
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: false,
      vocab_size: 32768,
    },
    { headDim: 128, kvHeads: 8 },
  ],
  [
    'microsoft/Phi-4-mini-instruct',
    {
      ...USUAL,
      attention_bias: false,
      auto_map: { AutoConfig: 'configuration_phi3.Phi3Config' },
      embd_pdrop: 0,
      full_attn_mod: 1,
      hidden_size: 3072,
      intermediate_size: 8192,
      interpolate_factor: 1,
      lm_head_bias: false,
      max_position_embeddings: 131072,
      mlp_bias: false,
      model_type: 'phi3',
      num_attention_heads: 24,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      original_max_position_embeddings: 4096,
      pad_token_id: 199999,
      partial_rotary_factor: 0.75,
      resid_pdrop: 0,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      sliding_window: 262144,
      tie_word_embeddings: true,
      vocab_size: 200064,
      rope_scaling: { long_factor: FACTORS, short_factor: FACTORS, type: 'longrope' },
    },
    { headDim: 128, tiedEmbeddings: true },
  ],
  [
    'google/gemma-2-2b-it',
    {
      ...USUAL,
      attention_bias: false,
      attn_logit_softcapping: 50,
      cache_implementation: 'hybrid',
      final_logit_softcapping: 30,
      head_dim: 256,
      hidden_act: 'gelu_pytorch_tanh',
      hidden_activation: 'gelu_pytorch_tanh',
      hidden_size: 2304,
      intermediate_size: 9216,
      max_position_embeddings: 8192,
      model_type: 'gemma2',
      num_attention_heads: 8,
      num_hidden_layers: 26,
      num_key_value_heads: 4,
      pad_token_id: 0,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      sliding_window: 4096,
      vocab_size: 256000,
    },
    { activation: 'gelu-tanh', attentionCap: 50, logitCap: 30, tiedEmbeddings: true, norms: 'sandwich' },
  ],
  [
    'google/gemma-3-1b-it',
    {
      ...USUAL,
      attention_bias: false,
      attn_logit_softcapping: null,
      cache_implementation: 'hybrid',
      eos_token_id: [1, 106],
      final_logit_softcapping: null,
      head_dim: 256,
      hidden_activation: 'gelu_pytorch_tanh',
      hidden_size: 1152,
      intermediate_size: 6912,
      max_position_embeddings: 32768,
      model_type: 'gemma3_text',
      num_attention_heads: 4,
      num_hidden_layers: 26,
      num_key_value_heads: 1,
      pad_token_id: 0,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_local_base_freq: 10000,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: 512,
      sliding_window_pattern: 6,
      vocab_size: 262144,
    },
    { attentionScale: 1 / 16, queryKeyNorm: 'head', kvHeads: 1 },
  ],
  [
    'google/gemma-3-4b-it',
    {
      architectures: ['Gemma3ForConditionalGeneration'],
      boi_token_index: 255999,
      eoi_token_index: 256000,
      image_token_index: 262144,
      model_type: 'gemma3',
      vision_config: { hidden_size: 1152 },
      text_config: {
        hidden_size: 2560,
        intermediate_size: 10240,
        model_type: 'gemma3_text',
        num_hidden_layers: 34,
        sliding_window: 1024,
        rope_scaling: { factor: 8, rope_type: 'linear' },
      },
    },
    { heads: 8, kvHeads: 4, headDim: 256, vocabSize: 262208, tiedEmbeddings: true },
  ],
  [
    'HuggingFaceTB/SmolLM3-3B',
    {
      ...USUAL,
      attention_bias: false,
      hidden_size: 2048,
      intermediate_size: 11008,
      layer_types: Array.from({ length: 36 }, () => 'full_attention'),
      max_position_embeddings: 65536,
      max_window_layers: 28,
      mlp_bias: false,
      model_type: 'smollm3',
      no_rope_layer_interval: 4,
      no_rope_layers: Array.from({ length: 36 }, (_, i) => ((i + 1) % 4 === 0 ? 0 : 1)),
      num_attention_heads: 16,
      num_hidden_layers: 36,
      num_key_value_heads: 4,
      pad_token_id: 128004,
      pretraining_tp: 2,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 5000000,
      sliding_window: null,
      use_sliding_window: false,
      vocab_size: 128256,
    },
    { headDim: 128, tiedEmbeddings: true },
  ],
  [
    'allenai/OLMo-2-0425-1B',
    {
      ...USUAL,
      attention_bias: false,
      hidden_size: 2048,
      intermediate_size: 8192,
      max_position_embeddings: 4096,
      model_type: 'olmo2',
      num_attention_heads: 16,
      num_hidden_layers: 16,
      num_key_value_heads: 16,
      pad_token_id: 100277,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 500000,
      tie_word_embeddings: false,
      vocab_size: 100352,
    },
    { norms: 'post', queryKeyNorm: 'projection' },
  ],
];

function read(json: Record<string, unknown>) {
  const { family, config } = findFamily(json);
  const options = { capacities: [2048], prefix: 'model.', head: 'lm_head.weight', ignoreConfigFields: [] };
  return describeModel(family, config, options);
}

it.each(MODELS)('%s is understood', (_, json, expected) => {
  expect(read(json).architecture).toMatchObject(expected);
});

it('reads fields as the network uses them: caps that are never applied, and earlier names of a scaling', () => {
  const of = (id: string, change: Record<string, unknown>) =>
    read({ ...MODELS.find(([name]) => name === id)![1], ...change });
  // transformers keeps this field of Gemma 3 and applies no cap; Gemma 2 does.
  const caps = { attn_logit_softcapping: 20, final_logit_softcapping: 10 };
  expect(of('google/gemma-3-1b-it', caps).architecture).toMatchObject({ logitCap: 10 });
  expect(of('google/gemma-3-1b-it', caps).architecture).not.toHaveProperty('attentionCap');
  expect(of('google/gemma-2-2b-it', caps).architecture).toMatchObject({ logitCap: 10, attentionCap: 20 });
  for (const type of ['su', 'yarn', 'longrope']) {
    const rope_scaling = { long_factor: FACTORS, short_factor: FACTORS, type };
    expect(of('microsoft/Phi-4-mini-instruct', { rope_scaling }).rope[0]!.scaling).toBe('longrope');
  }
});

it('knows which layers slide, rotate and how', () => {
  const of = (id: string) => read(MODELS.find(([name]) => name === id)![1]);
  const gemma = of('google/gemma-3-4b-it');
  const slides = gemma.architecture.layers.map((l) => gemma.masks[l.mask]!.window);
  expect(slides.slice(0, 12)).toEqual([
    1024,
    1024,
    1024,
    1024,
    1024,
    null,
    1024,
    1024,
    1024,
    1024,
    1024,
    null,
  ]);
  expect(gemma.rope.map((r) => [r.theta, r.scaling])).toEqual([
    [10000, 'default'],
    [1000000, 'linear'],
  ]);
  const smol = of('HuggingFaceTB/SmolLM3-3B').architecture.layers.map((l) => l.rope);
  expect(smol.slice(0, 8)).toEqual([0, 0, 0, null, 0, 0, 0, null]);
  const phi = of('microsoft/Phi-4-mini-instruct');
  expect(phi.rope[0]).toMatchObject({ dims: 96, scaling: 'longrope' });
  expect(phi.rope[0]!.attentionFactor).toBeCloseTo(Math.sqrt(1 + Math.log(32) / Math.log(4096)), 12);
  expect(of('deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B').masks).toEqual([{ window: null }]);
});
