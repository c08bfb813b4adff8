// Which checkpoint tensor each of our tensors comes from. Names follow transformers' module names, which all supported
// families share; fused projections are cut by rows.
import type { ManifestArchitecture } from '../manifest.ts';
import type { Config } from './config.ts';
import type { WeightSource } from './description.ts';
import type { Family } from './family.ts';

interface Part {
  /** Our name inside a layer. */
  name: string;
  /** Module inside a checkpoint layer, its rows and the row where this part begins. */
  module: string;
  storedRows: number;
  firstRow: number;
  rows: number;
  inputs: number;
  bias: boolean;
}

/** All weights, in storage order. */
export function listWeights(
  family: Family,
  config: Config,
  a: ManifestArchitecture,
  names: { prefix: string; head: string },
): WeightSource[] {
  const offset = family.normOffset ?? 0;
  const parts = layerParts(family, config, a);
  const vector = (name: string, tensor: string, n: number, add = 0): WeightSource => {
    return { name, tensor, dims: [n], storedShape: [n], firstRow: 0, add };
  };
  const weights: WeightSource[] = [];
  for (let i = 0; i < a.layers.length; i++) {
    const ours = `layers.${i}`;
    const theirs = `${names.prefix}layers.${i}`;
    for (const [name, module] of Object.entries(family.normNames)) {
      weights.push(vector(`${ours}.${name}`, `${theirs}.${module}.weight`, a.hiddenSize, offset));
    }
    if (family.queryKeyNorm !== 'none') {
      const whole = family.queryKeyNorm === 'projection';
      const width = (heads: number) => (whole ? heads * a.headDim : a.headDim);
      weights.push(vector(`${ours}.queryNorm`, `${theirs}.self_attn.q_norm.weight`, width(a.heads), offset));
      weights.push(vector(`${ours}.keyNorm`, `${theirs}.self_attn.k_norm.weight`, width(a.kvHeads), offset));
    }
    for (const p of parts) {
      const { firstRow } = p;
      const tensor = `${theirs}.${p.module}.weight`;
      const dims = [p.rows, p.inputs];
      weights.push({
        name: `${ours}.${p.name}`,
        tensor,
        dims,
        storedShape: [p.storedRows, p.inputs],
        firstRow,
        add: 0,
      });
      if (!p.bias) continue;
      const bias = { tensor: `${theirs}.${p.module}.bias`, dims: [p.rows], storedShape: [p.storedRows] };
      weights.push({ name: `${ours}.${p.name}.bias`, ...bias, firstRow, add: 0 });
    }
  }
  weights.push(vector('finalNorm', `${names.prefix}norm.weight`, a.hiddenSize, offset));
  const table = {
    dims: [a.vocabSize, a.hiddenSize],
    storedShape: [a.vocabSize, a.hiddenSize],
    firstRow: 0,
    add: 0,
  };
  const embedding = `${names.prefix}embed_tokens.weight`;
  weights.push({ name: 'head', tensor: a.tiedEmbeddings ? embedding : names.head, ...table });
  weights.push({ name: 'embedding', tensor: embedding, ...table });
  return weights;
}

function layerParts(family: Family, config: Config, a: ManifestArchitecture): Part[] {
  const setting = (s: boolean | 'configured' | undefined, field: string) =>
    s === 'configured' ? config.boolean(field, false) : (s ?? false);
  const qkvBias = setting(family.queryKeyValueBias, 'attention_bias');
  const outputBias = setting(family.outputBias, 'attention_bias');
  const innerBias = setting(family.feedForwardBias, 'mlp_bias');
  const queries = a.heads * a.headDim;
  const keys = a.kvHeads * a.headDim;
  const inner = a.intermediateSize;
  const attention: [string, string, number][] = [
    ['query', 'self_attn.q_proj', queries],
    ['key', 'self_attn.k_proj', keys],
    ['value', 'self_attn.v_proj', keys],
  ];
  const gated: [string, string, number][] = [
    ['gate', 'mlp.gate_proj', inner],
    ['up', 'mlp.up_proj', inner],
  ];
  const fused = family.fusedProjections;
  return [
    ...stack(attention, fused && 'self_attn.qkv_proj', a.hiddenSize, qkvBias),
    ...stack([['output', 'self_attn.o_proj', a.hiddenSize]], undefined, queries, outputBias),
    ...stack(gated, fused && 'mlp.gate_up_proj', a.hiddenSize, innerBias),
    ...stack([['down', 'mlp.down_proj', a.hiddenSize]], undefined, inner, innerBias),
  ];
}

/** Matrices with the same inputs: each in its own module, or one below the other in `fusedModule`. */
function stack(
  parts: readonly [string, string, number][],
  fusedModule: string | undefined,
  inputs: number,
  bias: boolean,
): Part[] {
  const total = parts.reduce((n, [, , rows]) => n + rows, 0);
  let firstRow = 0;
  return parts.map(([name, module, rows]) => {
    const at = fusedModule ? firstRow : 0;
    firstRow += rows;
    const storedRows = fusedModule ? total : rows;
    return { name, module: fusedModule ?? module, storedRows, firstRow: at, rows, inputs, bias };
  });
}
