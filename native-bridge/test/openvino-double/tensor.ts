// The double's Tensor: shares the memory of an array that owns its whole buffer, and copies everywhere else, as
// openvino-node's does (src/bindings/js/node/src/tensor.cpp and helper.cpp in the OpenVINO repository).
import type { element, elementTypeString, SupportedTypedArray, Tensor } from 'openvino-node/types/addon.d.ts';
import type { Members } from './face.ts';

const ARRAYS = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  f32: Float32Array,
  f64: Float64Array,
} as const;

/** As OpenVINO names types; f16 exists as handle only, its data cannot be read. */
export type ElementName = keyof typeof ARRAYS | 'f16';

function isReadable(type: string): type is keyof typeof ARRAYS {
  return Object.hasOwn(ARRAYS, type);
}

export class DoubleTensor implements Members<Tensor> {
  elementName: ElementName;
  readonly buffer: ArrayBuffer;
  #shape: number[];

  constructor(type: element | elementTypeString | string[], shape?: number[], data?: SupportedTypedArray) {
    if (Array.isArray(type) || type === 'string') throw new Error('the double has no string tensors');
    if (!isReadable(String(type))) throw new Error('Cannot create ov::element::Type');
    this.elementName = type as keyof typeof ARRAYS;
    this.#shape = [...(shape ?? [])];
    const bytes = this.getSize() * ARRAYS[type as keyof typeof ARRAYS].BYTES_PER_ELEMENT;
    if (data === undefined) {
      this.buffer = new ArrayBuffer(bytes);
      return;
    }
    if (data.byteOffset !== 0) throw new Error('TypedArray.byteOffset has to be equal to zero.');
    if (data.buffer.byteLength !== bytes)
      throw new Error("Memory allocated using shape and element::type mismatch passed data's size");
    this.buffer = data.buffer as ArrayBuffer;
  }

  /** For ports: of the type that the constructor refuses, too. */
  static forPort(type: ElementName, shape: readonly number[]): DoubleTensor {
    const tensor = new DoubleTensor(type === 'f16' ? 'u16' : type, [...shape]);
    tensor.elementName = type;
    return tensor;
  }

  get data(): SupportedTypedArray {
    if (!isReadable(this.elementName)) throw new Error('Failed to return tensor data.');
    return new ARRAYS[this.elementName](this.buffer.slice(0));
  }

  /** From the start of the array's buffer, wherever the array itself begins. */
  set data(array: SupportedTypedArray) {
    if (array.byteLength !== this.buffer.byteLength)
      throw new Error('Passed array must have the same size as the Tensor!');
    new Uint8Array(this.buffer).set(new Uint8Array(array.buffer, 0, array.byteLength));
  }

  getElementType(): element {
    return this.elementName as unknown as element;
  }

  getData(): SupportedTypedArray {
    return this.data;
  }

  getShape(): number[] {
    return [...this.#shape];
  }

  getSize(): number {
    return this.#shape.reduce((a, b) => a * b, 1);
  }

  isContinuous(): boolean {
    return true;
  }

  setShape(shape: number[]): void {
    if (shape.reduce((a, b) => a * b, 1) !== this.getSize())
      throw new Error('the double cannot grow a tensor');
    this.#shape = [...shape];
  }

  copyTo(tensor: Tensor): void {
    const other = tensor as Members<Tensor> as DoubleTensor;
    new Uint8Array(other.buffer).set(new Uint8Array(this.buffer));
  }

  /** The numbers themselves, for ONNX Runtime. */
  view(): Float32Array | Int32Array {
    if (this.elementName === 'f32') return new Float32Array(this.buffer);
    if (this.elementName === 'i32') return new Int32Array(this.buffer);
    throw new Error(`the double runs no ${this.elementName} ports`);
  }
}
