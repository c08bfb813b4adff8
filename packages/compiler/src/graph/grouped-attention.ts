// Attention of a prefill chunk in one contrib operator, com.microsoft.GroupQueryAttention, which computes with the filled
// slots only where the primitive form computes with all of them. Layout [1, L, heads * headDim], as projections give it:
// only the rows that the host stores are turned to heads first. Rotation is the host's cos and sin rows, met by
// com.microsoft.RotaryEmbedding as a table of L positions. The operator's own copies of the cache are dropped.
//
// Padding rows stand behind all others and are causally invisible to them, so `total` counts them too.
// Form of both operators: ONNX Runtime's docs/ContribOperators.md; windows as onnxruntime 1.30 counts them (self included).
import { fromBoundary, toBoundary } from './boundary.ts';
import type { LayerContext } from './layer.ts';
import { linear } from './linear.ts';
import { CONTRIB_DOMAIN } from './onnx-builder.ts';
import { reshape, rmsNorm } from './operators.ts';

/** `x` is f32 [L, hidden]; returns f32 [L, heads * headDim]. Declares the layer's cache inputs and row outputs. */
export function groupedAttention(context: LayerContext, i: number, x: string): string {
  const { builder: b, description, length: rows, capacity } = context;
  const { heads, kvHeads, headDim, attentionScale, attentionCap, layers } = description.architecture;
  const name = `layers.${i}`;
  const past = (kind: string) => fromBoundary(context, `past_${kind}.${i}`, [1, kvHeads, capacity, headDim]);
  const pastKey = past('key');
  const pastValue = past('value');
  const query = rotate(context, i, projected(context, i, x, 'query', heads), 'query', heads);
  const key = rotate(context, i, projected(context, i, x, 'key', kvHeads), 'key', kvHeads);
  const value = projected(context, i, x, 'value', kvHeads);
  giveRows(context, i, 'key', key);
  giveRows(context, i, 'value', value);

  const { window } = description.masks[layers[i]!.mask]!;
  const attended = b.node(
    'GroupQueryAttention',
    `${name}/attended`,
    [query, key, value, pastKey, pastValue, lastSlot(context), 'total'],
    {
      num_heads: BigInt(heads),
      kv_num_heads: BigInt(kvHeads),
      scale: attentionScale,
      ...(attentionCap === undefined ? {} : { softcap: attentionCap }),
      ...(window === null ? {} : { local_window_size: BigInt(window) }),
    },
    {
      domain: CONTRIB_DOMAIN,
      outputs: [`${name}/attended`, `${name}/present_key`, `${name}/present_value`],
    },
  );
  return reshape(context, attended, `${name}/merged`, [rows, heads * headDim]);
}

/** [1, L, count * headDim], normalised where the family does so. */
function projected(context: LayerContext, i: number, x: string, part: string, count: number): string {
  const { description, length: rows, epsilon } = context;
  const { headDim, queryKeyNorm } = description.architecture;
  const name = `layers.${i}/${part}`;
  let flat = linear(context, x, `layers.${i}.${part}`, name);
  if (part !== 'value' && queryKeyNorm !== 'none') {
    const perHead = queryKeyNorm === 'head';
    if (perHead) flat = reshape(context, flat, `${name}_heads`, [1, rows, count, headDim]);
    flat = rmsNorm(context, flat, `layers.${i}.${part}Norm`, `${name}_norm`, epsilon);
  }
  return reshape(context, flat, `${name}_wide`, [1, rows, count * headDim]);
}

function rotate(context: LayerContext, i: number, x: string, part: string, count: number): string {
  const { builder: b, description, length: rows } = context;
  const { headDim, layers } = description.architecture;
  const table = layers[i]!.rope;
  if (table === null) return x;
  const { dims } = description.rope[table]!;
  const partial = dims < headDim ? { rotary_embedding_dim: BigInt(dims), num_heads: BigInt(count) } : {};
  const positions = b.int64Rows('row_numbers', rows);
  return b.node(
    'RotaryEmbedding',
    `layers.${i}/${part}_rope`,
    [x, positions, half(context, table, 'cos'), half(context, table, 'sin')],
    partial,
    { domain: CONTRIB_DOMAIN },
  );
}

/** The host's rows [1, 1, L, dims] as a table [L, dims / 2]: the second half, whose sines are not negated. */
function half(context: LayerContext, table: number, kind: 'cos' | 'sin'): string {
  const { builder: b, description, length: rows } = context;
  const name = `${kind}.${table}/half`;
  if (b.has(name)) return name;
  const { dims } = description.rope[table]!;
  const range = [[dims / 2], [dims], [3]].map(([n]) => b.int64s(`number_${n}`, [n!]));
  const sliced = b.node('Slice', `${kind}.${table}/second`, [`${kind}.${table}`, ...range]);
  return reshape(context, sliced, name, [rows, dims / 2]);
}

/** What the host stores: [1, kvHeads, L, headDim]. */
function giveRows(context: LayerContext, i: number, kind: string, flat: string): void {
  const { builder: b, description, length: rows } = context;
  const { kvHeads, headDim } = description.architecture;
  const name = `layers.${i}/${kind}_rows`;
  const split = reshape(context, flat, `${name}/split`, [1, rows, kvHeads, headDim]);
  const turned = b.node('Transpose', name, [split], { perm: [0n, 2n, 1n, 3n] });
  toBoundary(context, turned, `${kind}.${i}`, [1, kvHeads, rows, headDim]);
}

/** The operator counts slots from 0: total - 1, once per graph. */
function lastSlot({ builder: b }: LayerContext): string {
  return b.has('last_slot') ? 'last_slot' : b.node('Sub', 'last_slot', ['total', b.int32('one_int32', 1)]);
}
