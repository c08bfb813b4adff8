// Matrices that still lie in a compiled model's files: cut into pieces of whole panels, each read and packed by whichever
// thread is free. Packing costs the heap its pages (0.3 s for 63 MB in a virtual machine, which two threads halve), and a
// thread's own buffers are used again for every piece, so that a load takes no memory but the heap.
// By its own path: compute threads load this file, and the compiler is much of what a thread would then have to load.
import { halfToFloat } from '@baton/compiler/half';
import type { SourceMatrix } from './pack.ts';
import { packMatrix } from './pack.ts';
import { matrixBytes } from './products.ts';

/** How numbers lie in a file, row after row; rows of int4 begin at whole bytes. */
export interface StoredForm {
  dtype: 'f32' | 'f16' | 'int8' | 'int4';
  inputs: number;
  /** Inputs that share a scale. */
  group?: number;
  /** Added to the integers: 8 (int4), 128 (int8), or absent for two's complement. */
  zeroPoint?: number;
}

/** Bytes of a file. */
export interface Stretch {
  file: string;
  offset: number;
  bytes: number;
}

export interface StoredMatrix {
  kind: SourceMatrix['kind'];
  rows: number;
  inputs: number;
  form: StoredForm;
  numbers: Stretch;
  /** f32, [rows][inputs / group]. */
  scales?: Stretch;
  /** The whole of it in memory. */
  read(): Promise<SourceMatrix>;
}

/** Some rows of a stored matrix and where their panels go; plain data, for other threads. */
export interface Piece {
  form: StoredForm;
  rows: number;
  /** Inputs padded to a multiple of 32. */
  padded: number;
  numbers: Stretch;
  scales?: Stretch;
  /** Address of the first panel. */
  to: number;
  /** Panels from one of its own to the next. */
  step: number;
}

/** Puts the bytes of a stretch into `into`, which has their length. */
export type ReadStretch = (stretch: Stretch, into: Uint8Array) => void | Promise<void>;

const PIECE_BYTES = 512 << 10;

/** The pieces of a matrix whose panels go to `to` and on, every `step`th. */
export function piecesOf(matrix: StoredMatrix, padded: number, to: number, step: number): Piece[] {
  const { kind, rows, form, numbers, scales } = matrix;
  const rowBytes = numbers.bytes / rows;
  const scaleBytes = scales ? scales.bytes / rows : 0;
  const most = Math.max(8, Math.floor(PIECE_BYTES / rowBytes / 8) * 8);
  const pieces: Piece[] = [];
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    const part = ({ file, offset }: Stretch, bytes: number): Stretch => ({
      file,
      offset: offset + row * bytes,
      bytes: count * bytes,
    });
    pieces.push({
      form,
      rows: count,
      padded,
      numbers: part(numbers, rowBytes),
      ...(scales ? { scales: part(scales, scaleBytes) } : {}),
      to: to + matrixBytes(kind, (row / 8) * step, padded),
      step,
    });
  }
  return pieces;
}

/** Reads and packs pieces, one after the other, into one memory. */
export class PiecePacker {
  readonly #memory: WebAssembly.Memory;
  readonly #read: ReadStretch;
  #numbers = new Uint8Array(0);
  #scales = new Uint8Array(0);

  constructor(memory: WebAssembly.Memory, read: ReadStretch) {
    this.#memory = memory;
    this.#read = read;
  }

  /** Rejects as reading does, and with RangeError for a scale that has no code. */
  async pack({ form, rows, padded, numbers, scales, to, step }: Piece): Promise<void> {
    this.#numbers = roomFor(this.#numbers, numbers.bytes);
    const data = this.#numbers.subarray(0, numbers.bytes);
    const reading = this.#read(numbers, data);
    if (reading) await reading;
    let scaleBytes = new Uint8Array(0);
    if (scales) {
      this.#scales = roomFor(this.#scales, scales.bytes);
      scaleBytes = this.#scales.subarray(0, scales.bytes);
      const reading = this.#read(scales, scaleBytes);
      if (reading) await reading;
    }
    const source = sourceMatrix(form, rows, data, scaleBytes);
    const panels = (Math.ceil(rows / 8) - 1) * step + 1;
    const bytes = matrixBytes(source.kind, panels, padded);
    packMatrix(source, padded, new Uint8Array(this.#memory.buffer, to, bytes), step);
  }
}

/** Stored bytes as a matrix; f16 is widened, and int8 with a zero point is changed where it lies. `scales` holds f32. */
export function sourceMatrix(
  { dtype, inputs, group, zeroPoint }: StoredForm,
  rows: number,
  data: Uint8Array,
  scales: Uint8Array,
): SourceMatrix {
  if (dtype === 'f32' || dtype === 'f16') return { kind: 'f32', rows, inputs, data: floatsOf(dtype, data) };
  const quantised = { rows, inputs, group: group!, scales: floatsOf('f32', scales) };
  if (dtype === 'int4') return { kind: 'int4', ...quantised, data, offset: zeroPoint === 8 };
  if (zeroPoint === 128) for (let i = 0; i < data.length; i++) data[i]! ^= 0x80;
  return { kind: 'int8', ...quantised, data: new Int8Array(data.buffer, data.byteOffset, data.length) };
}

/** Stored floats as f32; f32 itself is not copied. `bytes` must begin at a multiple of 4. */
export function floatsOf(dtype: 'f32' | 'f16', bytes: Uint8Array): Float32Array {
  if (dtype === 'f32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = halfToFloat(halves[i]!);
  return out;
}

function roomFor(buffer: Uint8Array<ArrayBuffer>, bytes: number): Uint8Array<ArrayBuffer> {
  return buffer.length < bytes ? new Uint8Array(bytes) : buffer;
}
