// Rotary frequencies from a configuration, in double precision, for every scaling that the supported families use. The
// formulas are those of transformers (modeling_rope_utils.py, 5.18). Where it picks the scaling by the length of the current
// sequence (dynamic, longrope), here the capacity of the cache in use decides, because keys in a cache are rotated already
// and must agree with later queries: a table for every compiled capacity. With the length at which transformers switches
// among the capacities (compile.ts sees to it), longrope comes out as in a fresh pass of transformers on both sides of it.
import { CompileError } from '../errors.ts';
import type { ManifestRope } from '../manifest.ts';
import type { Config } from './config.ts';

export interface RopeContext {
  /** Where errors say that they are when there are no rotary fields. */
  config: Config;
  headDim: number;
  /** max_position_embeddings of the checkpoint. */
  trainedLength: number;
  /** Capacities that will be compiled, ascending. */
  capacities: readonly number[];
  /** rope_theta where neither dialect gives one. */
  defaultTheta: number;
  /** original_max_position_embeddings beside, not inside, the rope fields (Phi-3). */
  originalLength?: number | undefined;
  partialRotaryFactor: number;
  /** The family's code can leave a part of each head unrotated. */
  rotatesPart: boolean;
}

interface Scaled {
  inverse: number[];
  attentionFactor: number;
}

/** For sequences of up to `length` tokens. */
type Scaling = (base: Base, fields: Config, context: RopeContext, length: number) => Scaled;

interface Base {
  theta: number;
  dims: number;
}

/** One table from `rope_parameters` (transformers 5) or `rope_theta` + `rope_scaling` (transformers 4). */
export function ropeTable(
  fields: Config | null,
  theta: number | undefined,
  context: RopeContext,
): ManifestRope {
  const kind = fields ? scalingKind(fields) : 'default';
  const factor =
    fields?.number('partial_rotary_factor', context.partialRotaryFactor) ?? context.partialRotaryFactor;
  const base: Base = {
    theta: fields?.number('rope_theta', theta ?? context.defaultTheta) ?? theta ?? context.defaultTheta,
    dims: context.rotatesPart ? Math.floor(context.headDim * factor) : context.headDim,
  };
  const where = fields ?? context.config;
  // transformers does not look at the factor in its plain tables; those of the scalings get too short for such a family.
  if (!context.rotatesPart && kind !== 'default' && factor !== 1) {
    where.unsupported(
      'partial_rotary_factor',
      `(${factor}) does not go with ${kind} scaling here: this family rotates whole heads`,
    );
  }
  if (base.dims < 2 || base.dims % 2 === 1 || base.dims > context.headDim) {
    where.unsupported(
      'head_dim, partial_rotary_factor',
      `leave ${base.dims} of ${context.headDim} dimensions to rotate; an even number is needed`,
    );
  }
  const scaling = SCALINGS[kind];
  if (!scaling) {
    return fields!.unsupported('rope_type', `"${kind}" is none of ${Object.keys(SCALINGS).join(', ')}`);
  }
  const at = (length: number): Scaled =>
    fields ? scaling(base, fields, context, length) : { inverse: plain(base), attentionFactor: 1 };
  const { inverse, attentionFactor } = at(context.capacities.at(-1)!);
  if (
    !inverse.every((f) => Number.isFinite(f) && f > 0) ||
    !(attentionFactor > 0 && Number.isFinite(attentionFactor))
  ) {
    throw new CompileError(
      'bad-config',
      `${where.where}: rotary frequencies come out as ${inverse.slice(0, 3).join(', ')} ... (theta ${base.theta}, factor on cos and sin ` +
        `${attentionFactor}); rope_theta and the factors of the scaling must be positive`,
    );
  }
  const { capacities } = context;
  const steps = capacities.map((capacity) => ({ capacity, inverseFrequencies: at(capacity).inverse }));
  // One entry for all capacities in a row that share a table, under the largest of them.
  const shorter = steps.slice(0, -1).filter(({ inverseFrequencies: own }, i) => {
    return own.some((f, j) => f !== steps[i + 1]!.inverseFrequencies[j]);
  });
  fields?.finish(['rope_type', 'type', 'original_max_position_embeddings', 'max_position_embeddings']);
  return {
    dims: base.dims,
    theta: base.theta,
    scaling: kind,
    inverseFrequencies: inverse,
    attentionFactor,
    ...(shorter.length > 0 ? { shorter } : {}),
  };
}

/** Up to how many tokens the scaling leaves sequences as the model was first trained; null where length changes nothing. */
export function unscaledLength(fields: Config | null, context: RopeContext): number | null {
  const kind = fields ? scalingKind(fields) : 'default';
  if (kind === 'longrope') return originalLength(fields!, context);
  return kind === 'dynamic' ? context.trainedLength : null;
}

function scalingKind(fields: Config): string {
  const kind = fields.string('rope_type', fields.string('type', 'default'));
  // Phi-3's earlier names for it.
  return kind === 'su' || (kind === 'yarn' && fields.has('short_factor')) ? 'longrope' : kind;
}

function plain({ theta, dims }: Base): number[] {
  return Array.from({ length: dims / 2 }, (_, j) => theta ** ((-2 * j) / dims));
}

const SCALINGS: Readonly<Record<string, Scaling>> = {
  default: (base) => ({ inverse: plain(base), attentionFactor: 1 }),

  linear(base, fields) {
    const factor = fields.number('factor');
    return { inverse: plain(base).map((f) => f / factor), attentionFactor: 1 };
  },

  dynamic(base, fields, { trainedLength }, length) {
    const factor = fields.number('factor');
    const ratio = Math.max(length, trainedLength) / trainedLength;
    const theta = base.theta * (factor * ratio - (factor - 1)) ** (base.dims / (base.dims - 2));
    return { inverse: plain({ theta, dims: base.dims }), attentionFactor: 1 };
  },

  llama3(base, fields, context) {
    const factor = fields.number('factor');
    const low = fields.number('low_freq_factor');
    const high = fields.number('high_freq_factor');
    const trained = originalLength(fields, context);
    const inverse = plain(base).map((f) => {
      const turns = (trained * f) / (2 * Math.PI);
      if (turns < low) return f / factor;
      if (turns > high) return f;
      const smooth = (turns - low) / (high - low);
      return ((1 - smooth) * f) / factor + smooth * f;
    });
    return { inverse, attentionFactor: 1 };
  },

  yarn(base, fields, context) {
    const trained = originalLength(fields, context);
    const factor = fields.number('factor', context.trainedLength / trained);
    const { theta, dims } = base;
    const dimensionOf = (turns: number) =>
      (dims * Math.log(trained / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    let low = dimensionOf(fields.number('beta_fast', 32));
    let high = dimensionOf(fields.number('beta_slow', 1));
    if (fields.boolean('truncate', true)) [low, high] = [Math.floor(low), Math.ceil(high)];
    [low, high] = [Math.max(low, 0), Math.min(high, dims - 1)];
    if (low === high) high += 0.001;
    const inverse = plain(base).map((f, j) => {
      const ramp = Math.min(1, Math.max(0, (j - low) / (high - low)));
      return (f / factor) * ramp + f * (1 - ramp);
    });
    return { inverse, attentionFactor: yarnAttention(fields, factor) };
  },

  longrope(base, fields, context, length) {
    const trained = originalLength(fields, context);
    const factor = fields.number('factor', context.trainedLength / trained);
    const long = fields.numbers('long_factor');
    const short = fields.numbers('short_factor');
    const chosen = length > trained ? long : short;
    if (chosen.length !== base.dims / 2) {
      fields.unsupported(
        'long_factor, short_factor',
        `have ${chosen.length} entries, the heads need ${base.dims / 2}`,
      );
    }
    const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(trained));
    return {
      inverse: plain(base).map((f, j) => f / chosen[j]!),
      attentionFactor: fields.number('attention_factor', inferred),
    };
  },
};

function originalLength(fields: Config, context: RopeContext): number {
  const inside = fields.number('original_max_position_embeddings', null);
  return context.originalLength ?? inside ?? context.trainedLength;
}

function yarnAttention(fields: Config, factor: number): number {
  const scale = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  const given = fields.number('attention_factor', null);
  const mscale = fields.number('mscale', 0);
  const all = fields.number('mscale_all_dim', 0);
  if (given !== null) return given;
  return mscale && all ? scale(mscale) / scale(all) : scale(1);
}
