// A product with a stored matrix, lowered: rows [L, K] times W [N, K] transposed, plus a bias. W keeps the checkpoint's
// layout, so nothing is transposed at compile time and all lowerings read one layout.
//   f32      Gemm(transB)
//   f16      Cast to f32, Gemm(transB): two bytes a weight in the file, f32 arithmetic; runtimes fold the Cast at load
//   int8/4   portable: DequantizeLinear (opset 21, per group along K or per row), Gemm(transB). No zero point: the
//            symmetric form that OpenVINO's NPU compiler prefers, with no operator between constant and DequantizeLinear.
//   int8/4   fused: com.microsoft.MatMulNBits on the same integers stored with an offset; int4 also unpacked first (`int4`).
//   int8     integer: on activations that become 8-bit integers row by row.
import type { ManifestTensor } from '../manifest.ts';
import type { Lowering, PrefillWeights } from '../options.ts';
import { integerProduct } from './integer-product.ts';
import { CONTRIB_DOMAIN, ELEMENT_TYPES, type ExternalRange, type OnnxBuilder } from './onnx-builder.ts';

/** 4 = int8 products where the kernel has them: the fast path of ONNX Runtime's CPU kernels. */
const ACCURACY_LEVEL = 4n;

export interface LinearContext {
  builder: OnnxBuilder;
  tensors: Readonly<Record<string, ManifestTensor>>;
  lowering: Lowering;
  /** How MatMulNBits meets int4 weights. */
  int4: PrefillWeights;
  /** L, the rows that go in. */
  length: number;
  /** There may be fewer: only some are computed further. */
  picked?: boolean;
}

/** `input` is f32 [L, K]; returns the name of f32 [L, N]. `weight` names the tensor; its bias is found by name. */
export function linear(context: LinearContext, input: string, weight: string, name: string): string {
  const { builder, tensors } = context;
  const tensor = tensors[weight]!;
  const bias = tensors[`${weight}.bias`] ? [vectorWeight(context, `${weight}.bias`)] : [];
  const integer = context.lowering === 'integer' && tensor.dtype === 'int8';
  if (tensor.zeroPoint || integer) {
    const product = integer
      ? integerProduct(builder, tensor, input, context.picked ? null : context.length, weight, name)
      : matMulNBits(context, input, weight, name);
    return bias.length === 0 ? product : builder.node('Add', `${name}/bias`, [product, bias[0]!]);
  }
  return builder.node('Gemm', name, [input, floatWeight(context, weight), ...bias], { transB: 1n });
}

/** A vector kept as f32. */
export function vectorWeight({ builder, tensors }: LinearContext, name: string): string {
  const t = tensors[name]!;
  return builder.external(name, 'f32', t.dims, { file: t.file, offset: t.offset, bytes: t.bytes });
}

/** The matrix as an f32 value [N, K], whatever it is stored as. */
function floatWeight({ builder, tensors }: LinearContext, name: string): string {
  const t = tensors[name]!;
  const stored = builder.external(name, t.dtype, t.dims, { file: t.file, offset: t.offset, bytes: t.bytes });
  if (t.dtype === 'f32') return stored;
  if (t.dtype === 'f16') return builder.node('Cast', `${name}/f32`, [stored], { to: 1n });
  const [rows, inputs] = t.dims as [number, number];
  const range = { file: t.file, ...t.scales! };
  if (t.group === inputs) {
    const scales = builder.external(`${name}.scales`, 'f32', [rows], range);
    return builder.node('DequantizeLinear', `${name}/f32`, [stored, scales], { axis: 0n });
  }
  const scales = builder.external(`${name}.scales`, 'f32', [rows, inputs / t.group!], range);
  const attributes = { axis: 1n, block_size: BigInt(t.group!) };
  return builder.node('DequantizeLinear', `${name}/f32`, [stored, scales], attributes);
}

function matMulNBits(
  { builder, tensors, int4 }: LinearContext,
  input: string,
  weight: string,
  name: string,
): string {
  const t = tensors[weight]!;
  const [rows, inputs] = t.dims as [number, number];
  const unpacked = t.dtype === 'int4' && int4 === 'bytes';
  const bits = t.dtype === 'int4' && !unpacked ? 4 : 8;
  const blocks = inputs / t.group!;
  const range = { file: t.file, offset: t.offset, bytes: t.bytes };
  const integers = unpacked
    ? unpackedNibbles(builder, weight, [rows, blocks, t.group!], range)
    : [builder.external(weight, 'uint8', [rows, blocks, (t.group! * bits) / 8], range)];
  const [stored, ...zeroPoints] = integers as [string, ...string[]];
  const scales = builder.external(`${weight}.scales`, 'f32', [rows * blocks], { file: t.file, ...t.scales! });
  return builder.node(
    'MatMulNBits',
    name,
    [input, stored, scales, ...zeroPoints],
    {
      K: BigInt(inputs),
      N: BigInt(rows),
      bits: BigInt(bits),
      block_size: BigInt(t.group!),
      accuracy_level: ACCURACY_LEVEL,
    },
    { domain: CONTRIB_DOMAIN },
  );
}

/**
 * The nibbles as bytes and, one a block, what stands for 0 among them: all of constants, so that runtimes compute them once,
 * when they load the graph. Two operators and no numbers in the graph: sums over a matrix would be in memory beside it.
 */
function unpackedNibbles(
  b: OnnxBuilder,
  weight: string,
  dims: readonly [number, number, number],
  range: ExternalRange,
): [bytes: string, zeroPoints: string] {
  const stored = b.external(weight, 'uint4', dims, range);
  const bytes = b.node('Cast', `${weight}/bytes`, [stored], { to: BigInt(ELEMENT_TYPES.uint8) });
  const count = dims[0] * dims[1];
  const blocks = b.int64s(`number_${count}`, [count]);
  const eights = b.bytes('int4_zero', [1], 8);
  return [bytes, b.node('Expand', `${weight}/zero_points`, [eights, blocks])];
}
