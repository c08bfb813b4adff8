// One decoder layer. The residual stream is f32 [L, hidden]; heads are [1, heads, L, headDim] only inside attention.
//
// Attention never copies the cache: scores against the past (S slots, an input) and against the chunk's own L rows are
// computed apart, joined for the softmax, and split again for the two products with the values. Grouped queries are
// reshaped to [1, kvHeads, group * L, headDim] so that keys and values need no repetition. Only with `cacheUpdate` whole is
// the cache written here: what stays, plus the new rows put to their slots by a product with zeros and ones, because that
// is what every target has (WebNN's CPU backend refuses scattering to slots that are not constant).
import type { Description } from '../families/description.ts';
import { MASKED } from '../host/mask.ts';
import type { Attention, CacheUpdate } from '../options.ts';
import { fromBoundary, toBoundary, type BoundaryContext } from './boundary.ts';
import { groupedAttention } from './grouped-attention.ts';
import { linear, type LinearContext } from './linear.ts';
import { activate, reshape, rmsNorm, softCap } from './operators.ts';

export interface LayerContext extends LinearContext, BoundaryContext {
  cacheUpdate: CacheUpdate;
  attention: Attention;
  description: Description;
  /** S. */
  capacity: number;
  epsilon: number;
}

/**
 * Adds layer `i`; `x` is f32 [L, hidden]. Returns the new x. Declares the layer's cache inputs and outputs. `picked`: an input with
 * the numbers of the rows that the new x has; of the others only keys, values and queries are computed.
 */
export function addLayer(whole: LayerContext, i: number, x: string, picked?: string): string {
  const { builder: b, description, epsilon } = whole;
  const context = picked === undefined ? whole : { ...whole, picked: true };
  const { norms } = description.architecture;
  const name = `layers.${i}`;
  const before = (input: string, norm: string) =>
    norms === 'post' ? input : rmsNorm(context, input, `${name}.${norm}`, `${name}/${norm}`, epsilon);
  const after = (output: string, norm: string) =>
    norms === 'pre' ? output : rmsNorm(context, output, `${name}.${norm}`, `${name}/${norm}`, epsilon);

  const attend = attendsGrouped(context) ? groupedAttention : primitiveAttention;
  const pick = (rows: string, what: string) =>
    picked === undefined ? rows : b.node('Gather', `${name}/picked_${what}`, [rows, picked], { axis: 0n });
  const heard = pick(attend(whole, i, before(x, 'inputNorm')), 'heard');
  const attended = linear(context, heard, `${name}.output`, `${name}/output`);
  const middle = b.node('Add', `${name}/residual1`, [pick(x, 'x'), after(attended, 'postAttentionNorm')]);
  const fed = feedForward(context, i, before(middle, 'feedForwardNorm'));
  return b.node('Add', `${name}/residual2`, [middle, after(fed, 'postFeedForwardNorm')]);
}

/** A decode step attends in primitive operators always: the operator would copy the whole cache for one row. */
export function attendsGrouped({ attention, length }: Pick<LayerContext, 'attention' | 'length'>): boolean {
  return attention === 'grouped' && length > 1;
}

function feedForward(context: LayerContext, i: number, x: string): string {
  const { builder: b, description } = context;
  const name = `layers.${i}`;
  const gate = linear(context, x, `${name}.gate`, `${name}/gate`);
  const up = linear(context, x, `${name}.up`, `${name}/up`);
  const active = activate(context, gate, `${name}/active`, description.architecture.activation);
  return linear(context, b.node('Mul', `${name}/gated`, [active, up]), `${name}.down`, `${name}/down`);
}

/** `x` is f32 [L, hidden]; returns f32 [L, heads * headDim]. */
function primitiveAttention(context: LayerContext, i: number, x: string): string {
  const { builder: b, description, length: rows, capacity } = context;
  const a = description.architecture;
  const name = `layers.${i}`;
  const group = a.heads / a.kvHeads;
  const past = (kind: string) =>
    fromBoundary(context, `past_${kind}.${i}`, [1, a.kvHeads, capacity, a.headDim]);
  const [pastKey, pastValue] = [past('key'), past('value')];

  const key = rotate(context, i, heads(context, i, x, 'key', a.kvHeads), 'key');
  const value = heads(context, i, x, 'value', a.kvHeads);
  updateCache(context, i, 'key', pastKey, key);
  updateCache(context, i, 'value', pastValue, value);

  // Scaled before the product: smaller numbers in f16 arithmetic.
  const rotated = rotate(context, i, heads(context, i, x, 'query', a.heads), 'query');
  const scaled = b.node('Mul', `${name}/query_scaled`, [
    rotated,
    b.scalar('attention_scale', a.attentionScale),
  ]);
  const query = reshape(context, scaled, `${name}/query_groups`, [1, a.kvHeads, group * rows, a.headDim]);

  const pastScores = masked(
    context,
    i,
    scores(context, query, pastKey, `${name}/past_scores`, capacity),
    'past',
  );
  const newScores = masked(context, i, scores(context, query, key, `${name}/new_scores`, rows), 'new');
  const joined = b.node('Concat', `${name}/scores`, [pastScores, newScores], { axis: 3n });
  const weights = b.node('Softmax', `${name}/weights`, [joined], { axis: -1n });
  const [pastWeights, newWeights] = [`${name}/past_weights`, `${name}/new_weights`];
  const sizes = b.int64s('split_sizes', [capacity, rows]);
  b.node('Split', `${name}/split`, [weights, sizes], { axis: 3n }, { outputs: [pastWeights, newWeights] });

  const grouped = (w: string, slots: number) =>
    reshape(context, w, `${w}_groups`, [1, a.kvHeads, group * rows, slots]);
  const fromPast = b.node('MatMul', `${name}/from_past`, [grouped(pastWeights, capacity), pastValue]);
  const fromNew = b.node('MatMul', `${name}/from_new`, [grouped(newWeights, rows), value]);
  const sum = b.node('Add', `${name}/attended`, [fromPast, fromNew]);
  return mergeHeads(context, sum, `${name}/merged`);
}

/** Gives the new rows out, or the cache with them in their slots: past * keep + place . rows. */
function updateCache(context: LayerContext, i: number, kind: string, past: string, rows: string): void {
  const { builder: b, description, length, capacity } = context;
  const { kvHeads, headDim } = description.architecture;
  if (context.cacheUpdate === 'rows') {
    toBoundary(context, rows, `${kind}.${i}`, [1, kvHeads, length, headDim]);
    return;
  }
  const name = `layers.${i}/next_${kind}`;
  const kept = b.node('Mul', `${name}_kept`, [past, 'keep']);
  const placed = b.node(length === 1 ? 'Mul' : 'MatMul', `${name}_placed`, ['place', rows]);
  const next = b.node('Add', name, [kept, placed]);
  toBoundary(context, next, `next_${kind}.${i}`, [1, kvHeads, capacity, headDim]);
}

/** Projects and splits into heads: f32 [1, count, L, headDim], normalised where the family does so. */
function heads(context: LayerContext, i: number, x: string, part: string, count: number): string {
  const { builder: b, description, length: rows, epsilon } = context;
  const { headDim, queryKeyNorm } = description.architecture;
  const name = `layers.${i}/${part}`;
  const normed = part !== 'value' && queryKeyNorm !== 'none';
  const norm = (input: string) => rmsNorm(context, input, `layers.${i}.${part}Norm`, `${name}_norm`, epsilon);
  let flat = linear(context, x, `layers.${i}.${part}`, name);
  if (normed && queryKeyNorm === 'projection') flat = norm(flat);
  let split: string;
  if (rows === 1) {
    split = reshape(context, flat, `${name}_heads`, [1, count, 1, headDim]);
  } else {
    const wide = reshape(context, flat, `${name}_wide`, [1, rows, count, headDim]);
    split = b.node('Transpose', `${name}_heads`, [wide], { perm: [0n, 2n, 1n, 3n] });
  }
  return normed && queryKeyNorm === 'head' ? norm(split) : split;
}

function mergeHeads(context: LayerContext, x: string, name: string): string {
  const { builder: b, description, length: rows } = context;
  const { heads, headDim } = description.architecture;
  if (rows === 1) return reshape(context, x, name, [1, heads * headDim]);
  const split = reshape(context, x, `${name}_heads`, [1, heads, rows, headDim]);
  const wide = b.node('Transpose', `${name}_wide`, [split], { perm: [0n, 2n, 1n, 3n] });
  return reshape(context, wide, name, [rows, heads * headDim]);
}

/** x * cos + swapHalves(x) * sin on the leading `dims`; the rest passes (partial rotary). */
function rotate(context: LayerContext, i: number, x: string, part: string): string {
  const { builder: b, description } = context;
  const { headDim, layers } = description.architecture;
  const table = layers[i]!.rope;
  if (table === null) return x;
  const name = `layers.${i}/${part}_rope`;
  const { dims } = description.rope[table]!;
  const half = dims / 2;
  const parts = dims === headDim ? [half, half] : [half, half, headDim - dims];
  const pieces = parts.map((_, n) => `${name}_${n}`);
  b.node(
    'Split',
    `${name}_split`,
    [x, b.int64s(`rope_split_${dims}`, parts)],
    { axis: 3n },
    { outputs: pieces },
  );
  const [first, second, rest] = pieces as [string, string, string | undefined];
  const swapped = b.node('Concat', `${name}_swapped`, [second, first], { axis: 3n });
  const straight = rest ? b.node('Concat', `${name}_straight`, [first, second], { axis: 3n }) : x;
  const cosine = b.node('Mul', `${name}_cos`, [straight, `cos.${table}`]);
  const sine = b.node('Mul', `${name}_sin`, [swapped, `sin.${table}`]);
  const turned = b.node('Add', rest ? `${name}_turned` : name, [cosine, sine]);
  return rest ? b.node('Concat', name, [turned, rest], { axis: 3n }) : turned;
}

/**
 * query . key^T: f32 [1, heads, L, slots]. The smaller operand is the one that is transposed: for a decode step the
 * query (measured as fast as a cache stored transposed), for long chunks the keys.
 */
function scores(context: LayerContext, query: string, key: string, name: string, slots: number): string {
  const { builder: b, description, length: rows } = context;
  const { heads, kvHeads, headDim } = description.architecture;
  const swapAxes = { perm: [0n, 1n, 3n, 2n] };
  let product: string;
  if ((heads / kvHeads) * rows <= headDim) {
    const turned = b.node('MatMul', `${name}_turned`, [
      key,
      b.node('Transpose', `${name}_query`, [query], swapAxes),
    ]);
    product = b.node('Transpose', `${name}_product`, [turned], swapAxes);
  } else {
    product = b.node('MatMul', `${name}_product`, [
      query,
      b.node('Transpose', `${name}_key`, [key], swapAxes),
    ]);
  }
  return reshape(context, product, name, [1, heads, rows, slots]);
}

function masked(context: LayerContext, i: number, x: string, side: 'past' | 'new'): string {
  const { builder: b, description, length: rows } = context;
  const { attentionCap, layers } = description.architecture;
  const name = `layers.${i}/${side}_masked`;
  const capped = attentionCap === undefined ? x : softCap(context, x, `${name}_cap`, attentionCap);
  const { mask } = layers[i]!;
  if (side === 'past') return b.node('Add', name, [capped, `mask.${mask}`]);
  // A single row sees itself.
  if (rows === 1) return capped;
  const causal = b.floats(
    `causal.${mask}`,
    [1, 1, rows, rows],
    chunkMask(rows, description.masks[mask]!.window),
  );
  return b.node('Add', name, [capped, causal]);
}

/** Row r sees row c of its own chunk if c <= r and, with a window, c > r - window. */
function chunkMask(rows: number, window: number | null): Float32Array {
  return Float32Array.from({ length: rows * rows }, (_, at) => {
    const r = Math.floor(at / rows);
    const c = at % rows;
    return c <= r && (window === null || c > r - window) ? 0 : MASKED;
  });
}
