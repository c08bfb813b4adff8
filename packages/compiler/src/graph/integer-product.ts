// A product in 8-bit integers on both sides (the lowering `integer`). Every row of activations gets its own scale, its
// largest magnitude over 127, and every row of the matrix has one: the sums are exact integers, so the only rounding is that
// of the activations. DynamicQuantizeLinear would give one scale to all rows of a chunk, and one large row would blur the
// others. Activations are stored with an offset of 128, because ONNX Runtime's CPU kernels multiply unsigned by signed bytes:
// signed by signed took 11 times as long for 64 rows (ONNX Runtime 1.30, x86 with AVX-512).
import type { ManifestTensor } from '../manifest.ts';
import type { OnnxBuilder } from './onnx-builder.ts';

const F32 = 1n;
const UINT8 = 2n;

/** `input` is f32 [L, K], `tensor` int8 [N, K] with one scale per row; returns the name of f32 [L, N]. */
export function integerProduct(
  b: OnnxBuilder,
  tensor: ManifestTensor,
  input: string,
  weight: string,
  name: string,
): string {
  const rows = quantisedRows(b, input);
  const { file, offset, bytes, dims, scales } = tensor;
  const stored = b.external(weight, 'int8', dims, { file, offset, bytes });
  const columnScales = b.external(`${weight}.scales`, 'f32', [dims[0]!], { file, ...scales! });
  // Of a constant: runtimes turn it once, when they load the graph.
  const turned = b.node('Transpose', `${name}/turned`, [stored], { perm: [1n, 0n] });
  const sums = b.node('MatMulInteger', `${name}/sums`, [rows.integers, turned, b.byte('byte_128', 128)]);
  const real = b.node('Cast', `${name}/real`, [sums], { to: F32 });
  return b.node('Mul', name, [b.node('Mul', `${name}/columns`, [real, columnScales]), rows.scales]);
}

/** uint8 [L, K] around 128, and f32 [L, 1]: what they are worth. Computed once for all products with the same input. */
function quantisedRows(b: OnnxBuilder, input: string): { integers: string; scales: string } {
  const [integers, scales] = [`${input}/integers`, `${input}/integer_scales`];
  if (b.has(integers)) return { integers, scales };
  const most = b.scalar('byte_range', 127);
  const size = b.node('Abs', `${input}/size`, [input]);
  const axis = b.int64s('last_axis', [-1]);
  const largest = b.node('ReduceMax', `${input}/largest`, [size, axis], { keepdims: 1n });
  // A row of zeros must not divide by zero; 1e-30 * 127 is still a normal f32.
  const range = b.node('Max', `${input}/range`, [largest, b.scalar('least_range', 1e-30)]);
  b.node('Div', scales, [range, most]);
  const factor = b.node('Div', `${input}/factor`, [most, range]);
  const whole = b.node('Round', `${input}/whole`, [b.node('Mul', `${input}/scaled`, [input, factor])]);
  const shifted = b.node('Add', `${input}/shifted`, [whole, b.scalar('byte_middle', 128)]);
  b.node('Cast', integers, [shifted], { to: UINT8 });
  return { integers, scales };
}
