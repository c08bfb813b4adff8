// config.json + family -> Description. The one place where configuration fields get their meaning.
import type { TextNames } from '../checkpoint/text-names.ts';
import { CompileError } from '../errors.ts';
import type { ManifestArchitecture, ManifestRope } from '../manifest.ts';
import { Config } from './config.ts';
import type { Description } from './description.ts';
import type { Family, LayerKind } from './family.ts';
import { FAMILIES } from './index.ts';
import { ropeTable, unscaledLength, type RopeContext } from './rope.ts';
import { listWeights } from './weights.ts';

const ACTIVATIONS: Readonly<Record<string, ManifestArchitecture['activation']>> = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'gelu-tanh',
  gelu_new: 'gelu-tanh',
  gelu: 'gelu',
};

export interface DescribeOptions extends TextNames {
  /** Capacities that will be compiled, ascending. */
  capacities: readonly number[];
  ignoreConfigFields: readonly string[];
}

/** The family of a config.json, and the part of it that describes the text model. */
export function findFamily(json: Readonly<Record<string, unknown>>): { family: Family; config: Config } {
  const type = json['model_type'];
  const family = FAMILIES.find((f) => f.modelTypes.includes(String(type)));
  if (!family) {
    const known = FAMILIES.flatMap((f) => f.modelTypes).join(', ');
    const seen =
      type === undefined ? 'model_type is missing' : `model_type "${String(type)}" is not supported`;
    throw new CompileError('unsupported', `config.json: ${seen}; supported are ${known}`);
  }
  if (json['quantization_config']) {
    throw new CompileError(
      'unsupported',
      'config.json: quantization_config: this checkpoint is already quantised; compile the original one',
    );
  }
  const text = json['text_config'];
  if (text === undefined) return { family, config: new Config(json) };
  // Whether they are tied is the whole model's to say; transformers does not look at the text model's own flag.
  const tie_word_embeddings = json['tie_word_embeddings'];
  const fields = { ...(text as Record<string, unknown>), tie_word_embeddings };
  return { family, config: new Config(fields, 'config.json: text_config') };
}

/**
 * Throws `bad-config` for missing or malformed fields, `unsupported` for fields nobody understands, and `bad-checkpoint` for
 * more layers than there are tensors of.
 */
export function describe(family: Family, config: Config, options: DescribeOptions): Description {
  const layers = config.count('num_hidden_layers');
  // Before anything is made for each of them: a number out of nowhere may be any number.
  if (layers > options.layers) {
    throw new CompileError(
      'bad-checkpoint',
      `${config.where}: num_hidden_layers is ${layers}, the checkpoint has tensors of ${options.layers} layers; ` +
        'the two do not belong together',
    );
  }
  const kinds = Array.from({ length: layers }, (_, i): LayerKind => {
    return family.layer?.(config, i, layers) ?? { window: null, rope: 'main' };
  });
  const masks = unique(kinds.map((k) => k.window)).map((window) => ({ window }));
  const ropeNames = unique(kinds.map((k) => k.rope)).filter((name) => name !== null);
  const sizes = readSizes(family, config);
  const { tables, unscaled } = ropeTables(family, config, sizes.headDim, options.capacities);
  const architecture: ManifestArchitecture = {
    ...sizes,
    layers: kinds.map((k) => ({
      mask: masks.findIndex((m) => m.window === k.window),
      rope: k.rope === null ? null : ropeNames.indexOf(k.rope),
    })),
    ...readNumerics(family, config, sizes.headDim, options.ownHead),
    norms: family.norms,
    queryKeyNorm: family.queryKeyNorm,
  };
  const description: Description = {
    family: family.name,
    architecture,
    rope: ropeNames.map((name) => tables[name]!),
    unscaledLength: unscaled,
    masks,
    embeddingScale: family.scaledEmbeddings ? Math.sqrt(sizes.hiddenSize) : 1,
    weights: listWeights(family, config, architecture, options),
  };
  config.finish(options.ignoreConfigFields);
  return description;
}

function readSizes(family: Family, config: Config) {
  const hiddenSize = config.count('hidden_size');
  const orDefault = (field: string, fallback: number | undefined) =>
    fallback === undefined ? config.count(field) : config.count(field, fallback);
  const heads = orDefault('num_attention_heads', family.defaults.heads);
  // null, which is not the same as absent, means one for each head whatever the family's number.
  const absent = config.has('num_key_value_heads') ? undefined : family.defaults.kvHeads;
  const kvHeads = config.count('num_key_value_heads', absent ?? heads);
  const headDim = config.count('head_dim', family.defaults.headDim ?? hiddenSize / heads);
  if (!Number.isInteger(headDim))
    config.unsupported('hidden_size', `${hiddenSize} is no multiple of ${heads} heads`);
  if (heads % kvHeads !== 0) {
    config.unsupported('num_key_value_heads', `${kvHeads} does not divide ${heads} heads`);
  }
  return {
    hiddenSize,
    heads,
    kvHeads,
    headDim,
    intermediateSize: config.count('intermediate_size'),
    vocabSize: orDefault('vocab_size', family.defaults.vocabSize),
  };
}

function readNumerics(family: Family, config: Config, headDim: number, ownHead: boolean) {
  const field = family.activationField ?? 'hidden_act';
  const name = config.string(field, family.activationField ? 'gelu_pytorch_tanh' : 'silu');
  // Gemma's configurations may carry the older field too, which its code does not look at.
  if (family.activationField) config.get('hidden_act');
  const activation = ACTIVATIONS[name] ?? config.unsupported(field, `"${name}" is not supported`);
  const scalar = family.queryScalar ? config.positive('query_pre_attn_scalar', 256) : headDim;
  const caps = family.softCaps;
  const cap = (name: string, absent: number | null | 'unused') => {
    const given = config.has(name) ? config.positive(name, null) : absent;
    return absent === 'unused' || given === 'unused' ? null : given;
  };
  const attentionCap = caps ? cap('attn_logit_softcapping', caps.attention) : null;
  const logitCap = caps ? cap('final_logit_softcapping', caps.logits) : null;
  return {
    rmsNormEps: config.positive('rms_norm_eps', family.defaults.rmsNormEps),
    activation,
    attentionScale: scalar ** -0.5,
    ...(attentionCap === null ? {} : { attentionCap }),
    ...(logitCap === null ? {} : { logitCap }),
    tiedEmbeddings: config.boolean('tie_word_embeddings', family.defaults.tiedEmbeddings) && !ownHead,
  };
}

function ropeTables(
  family: Family,
  config: Config,
  headDim: number,
  capacities: readonly number[],
): { tables: Record<string, ManifestRope>; unscaled: number | null } {
  const context: RopeContext = {
    config,
    headDim,
    trainedLength: config.count(
      'max_position_embeddings',
      family.defaults.maxPositions ?? capacities.at(-1)!,
    ),
    capacities,
    defaultTheta: family.defaults.theta ?? 10_000,
    originalLength: config.number('original_max_position_embeddings', undefined),
    partialRotaryFactor: config.number('partial_rotary_factor', 1),
    rotatesPart: family.partialRotation ?? false,
  };
  const theta = config.number('rope_theta', undefined);
  const parameters = config.object('rope_parameters');
  const scaling = config.object('rope_scaling');
  const byType = family.ropeByLayerType;
  if (!byType) {
    // Where a configuration has both, transformers takes the older field and nothing of the other.
    const fields = scaling ?? parameters;
    return { tables: { main: ropeTable(fields, theta, context) }, unscaled: unscaledLength(fields, context) };
  }
  const { full, sliding } = byType.defaultTheta;
  const slidingTheta = config.number(byType.slidingThetaField, sliding);
  const own = parameters?.object('full_attention') ?? null;
  // Here the older field is laid over the other.
  const main = own && scaling ? own.with(scaling) : (own ?? scaling);
  const tables = {
    main: ropeTable(main, theta, { ...context, defaultTheta: full }),
    sliding: ropeTable(parameters?.object('sliding_attention') ?? null, slidingTheta, context),
  };
  return { tables, unscaled: unscaledLength(main, context) };
}

function unique<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
