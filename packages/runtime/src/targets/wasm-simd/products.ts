// Rows times a packed matrix: turns rows into the form the matrix's kernel wants, and runs a range of its panels.
import type { Kernels } from './kernels.ts';
import type { Matrix, Plan, RowBuffer } from './plan.ts';

const PANEL_BYTES = { int4: 144, int8: 272, f32: 1024 } as const; // per block of 32 inputs

export class Products {
  readonly #kernels: Kernels;
  readonly #plan: Plan;
  readonly #order4: number;
  readonly #limit4: number;

  readonly #panel: number;

  /** `panel`: this thread's room for an unpacked panel of the widest matrix. */
  constructor(kernels: Kernels, plan: Plan, panel: number) {
    this.#panel = panel;
    this.#kernels = kernels;
    this.#plan = plan;
    this.#order4 = plan.int4 === 'int4Plain' ? 1 : 0;
    this.#limit4 = plan.activationBits === 16 ? 32767 : 127;
  }

  /** Prepares row `index` of `rows` from the f32 row at `source` for products with `matrix`. */
  prepare(matrix: Matrix, source: number, rows: RowBuffer, index: number): void {
    if (matrix.kind === 'f32') return;
    const int4 = matrix.kind === 'int4';
    this.#kernels.quantize(
      source,
      matrix.inputs / 32,
      rows.quantised + index * rows.quantisedStride,
      rows.meta + index * rows.metaStride,
      int4 ? this.#order4 : 2,
      int4 ? this.#limit4 : 32767,
    );
  }

  /**
   * out[t][8 * first ..] = panels first .. first + count - 1 of the matrix times rows 0 .. tokens - 1, plus its bias,
   * plus what `out` holds when `add` is 1. `source`/`sourceStride` are the f32 rows, used by f32 matrices.
   */
  run(
    matrix: Matrix,
    first: number,
    count: number,
    rows: RowBuffer,
    source: number,
    sourceStride: number,
    out: number,
    outStride: number,
    add: number,
    tokens: number,
  ): void {
    const blocks = matrix.inputs / 32;
    const w = matrix.address + first * blocks * PANEL_BYTES[matrix.kind];
    const to = out + first * 32;
    const bias = matrix.bias ? matrix.bias + first * 32 : 0;
    const k = this.#kernels;
    if (matrix.kind === 'f32') {
      k.floatProduct(w, count, matrix.inputs, source, sourceStride, to, outStride, bias, add, tokens);
      return;
    }
    const product = matrix.kind === 'int8' ? k.int8Product : k[this.#plan.int4]!;
    product(
      w,
      count,
      blocks,
      rows.quantised,
      rows.quantisedStride,
      rows.meta,
      rows.metaStride,
      to,
      outStride,
      bias,
      add,
      tokens,
      this.#panel,
    );
  }
}

/** Bytes of an unpacked panel of that many inputs (kernels/assembly/int4-dot.ts). */
export const unpackedBytes = (inputs: number): number => (inputs / 32) * 288;

export function matrixBytes(kind: Matrix['kind'], panels: number, inputs: number): number {
  return panels * (inputs / 32) * PANEL_BYTES[kind];
}
