// Configurations of published models: strictness about unknown fields must not turn real models away, and what is read must be
// what the models are. Each stands at https://huggingface.co/ID/blob/main/config.json under the id given with it; nothing is
// fetched here, and fields that are the same everywhere are in USUAL.
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

/** What both Phi-3-mini-instruct models have; their code is in the repository (auto_map) and in transformers. */
const PHI3_MINI = {
  architectures: ['Phi3ForCausalLM'],
  attention_bias: false,
  auto_map: {
    AutoConfig: 'configuration_phi3.Phi3Config',
    AutoModelForCausalLM: 'modeling_phi3.Phi3ForCausalLM',
  },
  embd_pdrop: 0,
  eos_token_id: 32000,
  hidden_size: 3072,
  intermediate_size: 8192,
  model_type: 'phi3',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  pad_token_id: 32000,
  resid_pdrop: 0,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  vocab_size: 32064,
};

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
  [
    'Qwen/Qwen2.5-0.5B-Instruct',
    {
      ...USUAL,
      hidden_size: 896,
      intermediate_size: 4864,
      max_position_embeddings: 32768,
      max_window_layers: 21,
      model_type: 'qwen2',
      num_attention_heads: 14,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-6,
      rope_theta: 1000000,
      sliding_window: 32768,
      tie_word_embeddings: true,
      use_sliding_window: false,
      vocab_size: 151936,
    },
    { headDim: 64, kvHeads: 2, tiedEmbeddings: true, vocabSize: 151936 },
  ],
  [
    'Qwen/Qwen2.5-7B-Instruct',
    {
      ...USUAL,
      hidden_size: 3584,
      intermediate_size: 18944,
      max_position_embeddings: 32768,
      max_window_layers: 28,
      model_type: 'qwen2',
      num_attention_heads: 28,
      num_hidden_layers: 28,
      num_key_value_heads: 4,
      rms_norm_eps: 1e-6,
      rope_theta: 1000000,
      sliding_window: 131072,
      tie_word_embeddings: false,
      use_sliding_window: false,
      vocab_size: 152064,
    },
    { headDim: 128, kvHeads: 4, tiedEmbeddings: false, vocabSize: 152064 },
  ],
  [
    'deepseek-ai/DeepSeek-R1-Distill-Llama-8B',
    {
      ...USUAL,
      attention_bias: false,
      bos_token_id: 128000,
      eos_token_id: 128001,
      head_dim: 128,
      hidden_size: 4096,
      intermediate_size: 14336,
      max_position_embeddings: 131072,
      mlp_bias: false,
      model_type: 'llama',
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_scaling: {
        factor: 8,
        high_freq_factor: 4,
        low_freq_factor: 1,
        original_max_position_embeddings: 8192,
        rope_type: 'llama3',
      },
      rope_theta: 500000,
      tie_word_embeddings: false,
      vocab_size: 128256,
    },
    { headDim: 128, kvHeads: 8, tiedEmbeddings: false, intermediateSize: 14336 },
  ],
  [
    'meta-llama/Llama-2-7b-chat-hf',
    {
      ...USUAL,
      hidden_size: 4096,
      intermediate_size: 11008,
      max_position_embeddings: 4096,
      model_type: 'llama',
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_scaling: null,
      tie_word_embeddings: false,
      vocab_size: 32000,
    },
    { headDim: 128, kvHeads: 32, tiedEmbeddings: false, rmsNormEps: 1e-5 },
  ],
  [
    'TinyLlama/TinyLlama-1.1B-Chat-v1.0',
    {
      ...USUAL,
      attention_bias: false,
      hidden_size: 2048,
      intermediate_size: 5632,
      max_position_embeddings: 2048,
      model_type: 'llama',
      num_attention_heads: 32,
      num_hidden_layers: 22,
      num_key_value_heads: 4,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_scaling: null,
      rope_theta: 10000,
      tie_word_embeddings: false,
      vocab_size: 32000,
    },
    { headDim: 64, kvHeads: 4, vocabSize: 32000 },
  ],
  [
    'HuggingFaceTB/SmolLM2-1.7B-Instruct',
    {
      ...USUAL,
      attention_bias: false,
      hidden_size: 2048,
      intermediate_size: 8192,
      max_position_embeddings: 8192,
      mlp_bias: false,
      model_type: 'llama',
      num_attention_heads: 32,
      num_hidden_layers: 24,
      num_key_value_heads: 32,
      pad_token_id: 2,
      pretraining_tp: 1,
      rms_norm_eps: 1e-5,
      rope_scaling: null,
      rope_theta: 130000,
      tie_word_embeddings: true,
      'transformers.js_config': { dtype: 'q4', kv_cache_dtype: { q4f16: 'float16', fp16: 'float16' } },
      vocab_size: 49152,
    },
    { headDim: 64, kvHeads: 32, tiedEmbeddings: true },
  ],
  [
    'mistralai/Mistral-7B-v0.1',
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
      rope_theta: 10000,
      sliding_window: 4096,
      tie_word_embeddings: false,
      vocab_size: 32000,
    },
    { headDim: 128, kvHeads: 8, vocabSize: 32000 },
  ],
  [
    'microsoft/Phi-3-mini-4k-instruct',
    {
      ...USUAL,
      ...PHI3_MINI,
      max_position_embeddings: 4096,
      original_max_position_embeddings: 4096,
      rope_scaling: null,
      sliding_window: 2047,
    },
    { headDim: 96, kvHeads: 32, tiedEmbeddings: false, rmsNormEps: 1e-5 },
  ],
  [
    'microsoft/Phi-3-mini-128k-instruct',
    {
      ...USUAL,
      ...PHI3_MINI,
      max_position_embeddings: 131072,
      original_max_position_embeddings: 4096,
      rope_scaling: { long_factor: FACTORS, short_factor: FACTORS.map(() => 1.05), type: 'longrope' },
      sliding_window: 262144,
    },
    { headDim: 96, kvHeads: 32, tiedEmbeddings: false },
  ],
  [
    'google/gemma-2-9b-it',
    {
      ...USUAL,
      attention_bias: false,
      attn_logit_softcapping: 50,
      bos_token_id: 2,
      cache_implementation: 'hybrid',
      eos_token_id: 1,
      final_logit_softcapping: 30,
      head_dim: 256,
      hidden_act: 'gelu_pytorch_tanh',
      hidden_activation: 'gelu_pytorch_tanh',
      hidden_size: 3584,
      intermediate_size: 14336,
      max_position_embeddings: 8192,
      model_type: 'gemma2',
      num_attention_heads: 16,
      num_hidden_layers: 42,
      num_key_value_heads: 8,
      pad_token_id: 0,
      query_pre_attn_scalar: 256,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      sliding_window: 4096,
      sliding_window_size: 4096,
      vocab_size: 256000,
    },
    {
      headDim: 256,
      kvHeads: 8,
      attentionCap: 50,
      logitCap: 30,
      tiedEmbeddings: true,
      attentionScale: 1 / 16,
    },
  ],
  [
    'Qwen/Qwen3-4B',
    {
      ...USUAL,
      attention_bias: false,
      head_dim: 128,
      hidden_size: 2560,
      intermediate_size: 9728,
      max_position_embeddings: 40960,
      max_window_layers: 36,
      model_type: 'qwen3',
      num_attention_heads: 32,
      num_hidden_layers: 36,
      num_key_value_heads: 8,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 1000000,
      sliding_window: null,
      tie_word_embeddings: true,
      use_sliding_window: false,
      vocab_size: 151936,
    },
    { headDim: 128, heads: 32, kvHeads: 8, queryKeyNorm: 'head', tiedEmbeddings: true },
  ],
];

function read(json: Record<string, unknown>) {
  const { family, config } = findFamily(json);
  const names = { prefix: 'model.', head: 'lm_head.weight', ownHead: false, layers: 100 };
  return describeModel(family, config, { ...names, capacities: [2048], ignoreConfigFields: [] });
}

/** A published configuration with some fields otherwise. */
function changed(id: string, change: Record<string, unknown>) {
  return read({ ...MODELS.find(([name]) => name === id)![1], ...change });
}

it.each(MODELS)('%s is understood', (_, json, expected) => {
  expect(read(json).architecture).toMatchObject(expected);
});

it('reads fields as the network uses them: caps that are never applied, and earlier names of a scaling', () => {
  // transformers keeps this field of Gemma 3 and applies no cap; Gemma 2 does.
  const caps = { attn_logit_softcapping: 20, final_logit_softcapping: 10 };
  expect(changed('google/gemma-3-1b-it', caps).architecture).toMatchObject({ logitCap: 10 });
  expect(changed('google/gemma-3-1b-it', caps).architecture).not.toHaveProperty('attentionCap');
  expect(changed('google/gemma-2-2b-it', caps).architecture).toMatchObject({
    logitCap: 10,
    attentionCap: 20,
  });
  for (const type of ['su', 'yarn', 'longrope']) {
    const rope_scaling = { long_factor: FACTORS, short_factor: FACTORS, type };
    expect(changed('microsoft/Phi-4-mini-instruct', { rope_scaling }).rope[0]!.scaling).toBe('longrope');
  }
});

it('ties head and embeddings as the whole of a multimodal model says, whatever its text model does', () => {
  const tied = (top: Record<string, unknown>, text: boolean) => {
    const { text_config } = MODELS.find(([name]) => name === 'google/gemma-3-4b-it')![1];
    const change = { ...top, text_config: { ...(text_config as object), tie_word_embeddings: text } };
    return changed('google/gemma-3-4b-it', change).architecture.tiedEmbeddings;
  };
  expect(tied({ tie_word_embeddings: false }, true)).toBe(false);
  expect(tied({ tie_word_embeddings: true }, false)).toBe(true);
  expect(tied({}, false)).toBe(true);
});

it('takes as many key heads as there are heads where their number is null, and the usual number where it is absent', () => {
  const kvHeads = (id: string, change: Record<string, unknown>) => changed(id, change).architecture.kvHeads;
  for (const id of ['Qwen/Qwen2.5-0.5B-Instruct', 'Qwen/Qwen3-0.6B', 'HuggingFaceTB/SmolLM3-3B'])
    expect(kvHeads(id, { num_attention_heads: 7, head_dim: 64, num_key_value_heads: null }), id).toBe(7);
  const { num_key_value_heads: _, ...rest } = MODELS.find(([name]) => name === 'Qwen/Qwen3-4B')![1];
  expect(read(rest).architecture.kvHeads).toBe(32);
});

it('makes windows of layer_types where they are given, not of the fields that usually make these', () => {
  const windows = ({ architecture, masks }: ReturnType<typeof read>) =>
    architecture.layers.map((layer) => masks[layer.mask]!.window);
  const layer_types = ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'];
  const fields = { num_hidden_layers: 4, no_rope_layers: [1, 1, 0, 0], sliding_window: 6 };
  const smol = (change: Record<string, unknown>) =>
    windows(changed('HuggingFaceTB/SmolLM3-3B', { ...fields, ...change }));
  expect(smol({ layer_types, use_sliding_window: false })).toEqual([6, null, 6, null]);
  expect(smol({ layer_types: null, use_sliding_window: false })).toEqual([null, null, null, null]);
  expect(smol({ layer_types: null, use_sliding_window: true })).toEqual([null, null, 6, 6]);
  // transformers writes this one and never reads it.
  const pattern = { sliding_window_pattern: null, _sliding_window_pattern: 2 };
  const gemma = windows(changed('google/gemma-3-1b-it', pattern));
  expect(gemma.slice(0, 6)).toEqual([512, 512, 512, 512, 512, null]);
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
  expect(of('Qwen/Qwen2.5-7B-Instruct').masks).toEqual([{ window: null }]);
  expect(of('mistralai/Mistral-7B-v0.1').masks).toEqual([{ window: 4096 }]);
  expect(of('microsoft/Phi-3-mini-4k-instruct').masks).toEqual([{ window: 2047 }]);
  expect(of('microsoft/Phi-3-mini-4k-instruct').rope[0]).toMatchObject({ dims: 96, scaling: 'default' });
  expect(of('microsoft/Phi-3-mini-128k-instruct').unscaledLength).toBe(4096);
  // Compiled for 2048 slots only, it is rotated by the short factors.
  expect(of('microsoft/Phi-3-mini-128k-instruct').rope[0]!.inverseFrequencies[0]).toBeCloseTo(1 / 1.05, 12);
  const two = of('google/gemma-2-9b-it');
  expect(two.architecture.layers.slice(0, 3).map((l) => two.masks[l.mask]!.window)).toEqual([
    4096,
    null,
    4096,
  ]);
});
