// A product in 8-bit integers on both sides (the lowering `integer`). Every row of activations gets its own scale, its
// largest magnitude over 127, and every row of the matrix has one: the sums are exact integers, so the only rounding is that
// of the activations. DynamicQuantizeLinear would give one scale to all rows of a chunk, and one large row would blur the
// others. Activations are stored with an offset of 128, because ONNX Runtime's CPU kernels multiply unsigned by signed bytes:
// signed by signed took 11 times as long for 64 rows (ONNX Runtime 1.30, x86 with AVX-512).
//
// The sums become f32 and meet the matrix's scales inside com.microsoft.MatMulIntegerToFloat, whose scale for the
// activations is one number for all rows, so it gets 1 and the rows' own scales follow.
import type { ManifestTensor } from '../manifest.ts';
import { CONTRIB_DOMAIN, type OnnxBuilder } from './onnx-builder.ts';

/** `input` is f32 [rows, K], `tensor` int8 [N, K] with one scale per row; returns the name of f32 [rows, N]. `rows` null: any number. */
export function integerProduct(
  b: OnnxBuilder,
  tensor: ManifestTensor,
  input: string,
  rows: number | null,
  weight: string,
  name: string,
): string {
  const quantised = quantisedRows(b, input, rows);
  const { file, offset, bytes, dims, scales } = tensor;
  const stored = b.external(weight, 'int8', dims, { file, offset, bytes });
  const columnScales = b.external(`${weight}.scales`, 'f32', [dims[0]!], { file, ...scales! });
  // Of a constant: runtimes turn it once, when they load the graph.
  const turned = b.node('Transpose', `${name}/turned`, [stored], { perm: [1n, 0n] });
  const product = b.node(
    'MatMulIntegerToFloat',
    `${name}/columns`,
    [quantised.integers, turned, b.scalar('one', 1), columnScales, b.bytes('byte_128', [], 128)],
    {},
    { domain: CONTRIB_DOMAIN },
  );
  return b.node('Mul', name, [product, quantised.scales]);
}

/** uint8 [rows, K] around 128, and f32 [rows, 1]: what they are worth. Computed once for all products with the same input. */
function quantisedRows(
  b: OnnxBuilder,
  input: string,
  rows: number | null,
): { integers: string; scales: string } {
  const [integers, scales] = [`${input}/integers`, `${input}/integer_scales`];
  if (b.has(integers)) return { integers, scales };
  const axis = b.int64s('last_axis', [-1]);
  const most = b.node('ReduceMax', `${input}/most`, [input, axis], { keepdims: 1n });
  const least = b.node('ReduceMin', `${input}/least`, [input, axis], { keepdims: 1n });
  const size = b.node('Neg', `${input}/least_size`, [least]);
  // A row of zeros must not divide by zero; 1e-30 / 127 is still a normal f32.
  const range = b.node('Max', `${input}/range`, [most, size, b.scalar('least_range', 1e-30)]);
  b.node('Div', scales, [range, b.scalar('byte_range', 127)]);
  const perRow = b.node('Reshape', `${scales}/flat`, [scales, b.int64s('all', [-1])]);
  const middle =
    rows === null
      ? b.node('Expand', `${integers}/128`, [
          b.bytes('bytes_128_1', [1], 128),
          b.node('Shape', `${scales}/rows`, [perRow]),
        ])
      : b.bytes(`bytes_128_${rows}`, [rows], 128);
  b.node('QuantizeLinear', integers, [input, perRow, middle], { axis: 0n });
  return { integers, scales };
}
