// A product in 8-bit integers on both sides (the lowering `integer`). Every row of activations gets its own scale, its
// largest magnitude over 127, and every row of the matrix has one: the sums are exact integers, so the only rounding is that
// of the activations. DynamicQuantizeLinear would give one scale to all rows of a chunk, and one large row would blur the
// others. Activations are stored with an offset of 128, because ONNX Runtime's CPU kernels multiply unsigned by signed bytes:
// signed by signed took 11 times as long for 64 rows (ONNX Runtime 1.30, x86 with AVX-512).
//
// The sums become f32 and meet the matrix's scales inside com.microsoft.MatMulIntegerToFloat, whose scale for the
// activations is one number for all rows, so it gets 1 and the rows' own scales follow.
import type { ManifestTensor } from '../manifest.ts';
import { CONTRIB_DOMAIN, ELEMENT_TYPES, OnnxBuilder } from './onnx-builder.ts';

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
  return product(b, quantised, turned, columnScales, name);
}

/** `matrix` is int8 [K, N], `columnScales` f32 [N]. */
function product(
  b: OnnxBuilder,
  { integers, scales }: Quantised,
  matrix: string,
  columnScales: string,
  name: string,
): string {
  const columns = b.node(
    'MatMulIntegerToFloat',
    `${name}/columns`,
    [integers, matrix, b.scalar('one', 1), columnScales, b.bytes('byte_128', [], 128)],
    {},
    { domain: CONTRIB_DOMAIN },
  );
  return b.node('Mul', name, [columns, scales]);
}

const PROBE = { rows: 4, inputs: 64, outputs: 16 };

/** What is used of an ONNX Runtime (onnxruntime-node, onnxruntime-web). */
export interface OnnxRuntime {
  InferenceSession: { create(graph: Uint8Array<ArrayBuffer>): Promise<OnnxSession> };
  Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => unknown;
}

interface OnnxSession {
  run(feeds: Record<string, unknown>): Promise<Record<string, { data: unknown }>>;
  release(): Promise<void>;
}

/**
 * Whether integer products are exact with `ort`'s CPU kernels on this processor. On x86 without VNNI they add two products of
 * an unsigned and a signed byte in 16 bits (vpmaddubsw), which saturate from 32768 on: two products of 255 and 127 are 64770,
 * and such a sum comes out half as large, with no error. Tried with one row and with several, which have kernels of their own.
 */
export async function integerProductsAreExact(ort: OnnxRuntime): Promise<boolean> {
  const { rows, inputs, outputs } = PROBE;
  const b = new OnnxBuilder('integer_product_probe');
  b.input('rows', 'f32', [rows, inputs], 0);
  const matrix = b.node('Cast', 'matrix', [b.bytes('largest', [inputs, outputs], 127)], {
    to: BigInt(ELEMENT_TYPES.int8),
  });
  const columnScales = b.floats('column_scales', [outputs], new Float32Array(outputs).fill(1));
  product(b, quantisedRows(b, 'rows', null), matrix, columnScales, 'sums');
  b.output('sums', 'f32', [rows, outputs], 0);
  const session = await ort.InferenceSession.create(b.toBytes('probe'));
  try {
    for (const count of [1, rows]) {
      const ones = new Float32Array(count * inputs).fill(1);
      const results = await session.run({ rows: new ort.Tensor('float32', ones, [count, inputs]) });
      const sums = results['sums']!.data as Float32Array;
      // Ones become 127 of 1/127, whose f32 is off by its last bit.
      if (!sums.every((sum) => Math.abs(sum - inputs * 127) < 1)) return false;
    }
    return true;
  } finally {
    await session.release();
  }
}

interface Quantised {
  integers: string;
  scales: string;
}

/** uint8 [rows, K] around 128, and f32 [rows, 1]: what they are worth. Computed once for all products with the same input. */
function quantisedRows(b: OnnxBuilder, input: string, rows: number | null): Quantised {
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
