// What one architecture family looks like, as data: how it differs from the plain pre-norm decoder with gated feed-forward
// that all of them share. The generic reader (describe.ts) turns a family and a config.json into a Description.
import type { Config } from './config.ts';

/** Which slots a layer sees, and which rotary table it uses (null = none). */
export interface LayerKind {
  /** Slots seen, itself included; null = all. */
  window: number | null;
  /** 'main', or another table that `ropes` names. */
  rope: string | null;
}

export interface Family {
  name: string;
  /** Values of `model_type`. */
  modelTypes: readonly string[];
  defaults: {
    /** Where num_key_value_heads is absent: that many, or as many as heads. */
    kvHeads?: number;
    /** Where head_dim is absent: that wide, instead of hidden / heads. */
    headDim?: number;
    /** Where a configuration leaves even these out (Gemma 3's larger models). */
    heads?: number;
    vocabSize?: number;
    rmsNormEps: number;
    tiedEmbeddings: boolean;
    theta?: number;
    maxPositions?: number;
  };
  norms: 'pre' | 'post' | 'sandwich';
  /** Checkpoint names of the norms of a layer, by our names. */
  normNames: Readonly<Partial<Record<NormName, string>>>;
  queryKeyNorm: 'none' | 'head' | 'projection';
  /** Added to stored norm weights: Gemma stores w - 1. */
  normOffset?: 1;
  /** Field that holds the activation's name. */
  activationField?: string;
  /** Biases of query, key, value and of the output projection: always, never, or as `attention_bias` says. */
  queryKeyValueBias: boolean | 'configured';
  outputBias: boolean | 'configured';
  /** `mlp_bias` is looked at. */
  feedForwardBias?: 'configured';
  /** partial_rotary_factor is looked at. */
  partialRotation?: true;
  /** qkv_proj and gate_up_proj hold several matrices one below the other. */
  fusedProjections?: true;
  /** Embeddings are multiplied by sqrt(hidden size). */
  scaledEmbeddings?: true;
  /** Layer `index` of `layers`. Absent: every layer sees everything and rotates. */
  layer?(config: Config, index: number, layers: number): LayerKind;
  /** query_pre_attn_scalar instead of the head's width under the root. */
  queryScalar?: true;
  /** Where attn_logit_softcapping and final_logit_softcapping are absent; unused: the network has no such cap. */
  softCaps?: { attention: number | null | 'unused'; logits: number | null };
  /** `rope_parameters` by layer type, and the field of the sliding layers' theta in the older dialect. */
  ropeByLayerType?: { defaultTheta: { full: number; sliding: number }; slidingThetaField: string };
}

export type NormName = 'inputNorm' | 'postAttentionNorm' | 'feedForwardNorm' | 'postFeedForwardNorm';

/** The sliding window of a layer when `layer_types` is given, as transformers 5 writes it. */
export function layerTypeAt(
  config: Config,
  index: number,
): 'full_attention' | 'sliding_attention' | undefined {
  const type = config.perLayer('layer_types', config.count('num_hidden_layers'))?.[index];
  if (type === undefined || type === 'full_attention' || type === 'sliding_attention') return type;
  return config.unsupported('layer_types', `holds ${JSON.stringify(type)}`);
}

const PRE_NORMS = { inputNorm: 'input_layernorm', feedForwardNorm: 'post_attention_layernorm' } as const;
const SANDWICH_NORMS = {
  inputNorm: 'input_layernorm',
  postAttentionNorm: 'post_attention_layernorm',
  feedForwardNorm: 'pre_feedforward_layernorm',
  postFeedForwardNorm: 'post_feedforward_layernorm',
} as const;
const POST_NORMS = {
  postAttentionNorm: 'post_attention_layernorm',
  postFeedForwardNorm: 'post_feedforward_layernorm',
} as const;

/** Parts that several families share. */
export const PRE = { norms: 'pre', normNames: PRE_NORMS } as const;
export const SANDWICH = { norms: 'sandwich', normNames: SANDWICH_NORMS } as const;
export const POST = { norms: 'post', normNames: POST_NORMS } as const;
