// The graphs of a compiled model: groups of layers at L = chunk and L = 1 for each capacity, and the head in two forms.
import type { Description } from '../families/description.ts';
import { maskRows } from '../host/mask.ts';
import { WATCHED, type ManifestTensor } from '../manifest.ts';
import type { Attention, Boundary, CacheUpdate, Lowering, PrefillWeights } from '../options.ts';
import { fromBoundary, toBoundary } from './boundary.ts';
import { addLayer, attendsGrouped, type LayerContext } from './layer.ts';
import { linear, type LinearContext } from './linear.ts';
import { OnnxBuilder } from './onnx-builder.ts';
import { rmsNorm, softCap } from './operators.ts';

export interface GraphOptions {
  description: Description;
  tensors: Readonly<Record<string, ManifestTensor>>;
  epsilon: number;
  lowering: Lowering;
  cacheUpdate: CacheUpdate;
  attention: Attention;
  boundary: Boundary;
  int4: PrefillWeights;
}

/** Layers `first .. last` for `length` rows over a cache of `capacity` slots. */
export function layersGraph(
  options: GraphOptions,
  first: number,
  last: number,
  length: number,
  capacity: number,
): OnnxBuilder {
  const builder = new OnnxBuilder(`layers_${first}_${last}_${length}_${capacity}`);
  const context: LayerContext = { ...options, builder, length, capacity };
  const { architecture: a, rope, masks } = options.description;
  const used = a.layers.slice(first, last + 1);
  const x = fromBoundary(context, 'x', [1, length, a.hiddenSize]);
  rope.forEach(({ dims }, t) => {
    if (!used.some((l) => l.rope === t)) return;
    builder.input(`cos.${t}`, 'f32', [1, 1, length, dims]);
    builder.input(`sin.${t}`, 'f32', [1, 1, length, dims]);
  });
  const grouped = attendsGrouped(context);
  // ONNX Runtime, whose own that form is, takes any number of rows; elsewhere every length is a constant.
  const picked =
    grouped && last === a.layers.length - 1 ? builder.input('picked', 'int32', [length], 0) : undefined;
  if (grouped) builder.input('total', 'int32', [1]);
  else
    masks.forEach(({ window }, m) => {
      if (!used.some((l) => l.mask === m)) return;
      builder.input(`mask.${m}`, 'f32', [1, 1, maskRows(window, length), capacity]);
    });
  if (options.cacheUpdate === 'whole') {
    builder.input('keep', 'f32', [1, 1, capacity, 1]);
    builder.input('place', 'f32', [1, 1, capacity, length]);
  }
  let rows = builder.node('Reshape', 'rows', [x, builder.int64s('rows_shape', [length, a.hiddenSize])]);
  for (let i = first; i <= last; i++) rows = addLayer(context, i, rows, i === last ? picked : undefined);
  const count = picked ? -1 : length;
  const y = builder.node('Reshape', 'y/rows', [rows, builder.int64s('y_shape', [1, count, a.hiddenSize])]);
  toBoundary(context, y, 'y', [1, length, a.hiddenSize], picked ? 1 : undefined);
  return builder;
}

/** Final norm and logits at every row: `logits` [1, L, vocab]. */
export function headGraph(options: GraphOptions, length: number): OnnxBuilder {
  const builder = new OnnxBuilder(`head_${length}`);
  const { vocabSize } = options.description.architecture;
  const logits = addHead({ ...options, builder, length });
  builder.node('Reshape', 'logits', [logits, builder.int64s('logits_shape', [1, length, vocabSize])]);
  builder.output('logits', 'f32', [1, length, vocabSize]);
  return builder;
}

/** For controlling prefill: a few columns per row instead of the whole vocabulary; see ../manifest.ts, duty 6. */
export function columnsGraph(options: GraphOptions, length: number): OnnxBuilder {
  const b = new OnnxBuilder(`columns_${length}`);
  const logits = addHead({ ...options, builder: b, length });
  const ids = b.input('ids', 'int32', [WATCHED]);
  const axis = b.int64s('vocabulary_axis', [1]);
  const result = (name: string, value: string, dtype: 'f32' | 'int32', width: number) => {
    b.node('Reshape', name, [value, b.int64s(`shape_${width}`, [1, length, width])]);
    b.output(name, dtype, [1, length, width]);
  };
  const max = b.node('ReduceMax', 'row_max', [logits, axis], { keepdims: 1n });
  const exps = b.node('Exp', 'exps', [b.node('Sub', 'below_max', [logits, max])]);
  const log = b.node('Log', 'log', [b.node('ReduceSum', 'sum', [exps, axis], { keepdims: 1n })]);
  const best = b.node('ArgMax', 'best', [logits], { axis: 1n, keepdims: 1n });
  result('chosen', b.node('Gather', 'chosen_columns', [logits, ids], { axis: 1n }), 'f32', WATCHED);
  result('log_sum_exp', b.node('Add', 'row_log_sum_exp', [log, max]), 'f32', 1);
  result('argmax', b.node('Cast', 'best_int32', [best], { to: 6n }), 'int32', 1);
  result('max', max, 'f32', 1);
  return b;
}

/** Declares `x`; returns f32 [L, vocab]. */
function addHead(context: LinearContext & GraphOptions): string {
  const { builder: b, description, epsilon, length } = context;
  const { hiddenSize, logitCap } = description.architecture;
  const x = fromBoundary(context, 'x', [1, length, hiddenSize]);
  const rows = b.node('Reshape', 'rows', [x, b.int64s('rows_shape', [length, hiddenSize])]);
  const normed = rmsNorm(context, rows, 'finalNorm', 'final_norm', epsilon);
  const logits = linear(context, normed, 'head', 'head/product');
  return logitCap === undefined ? logits : softCap(context, logits, 'capped', logitCap);
}
