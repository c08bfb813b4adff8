// Writes an ONNX model with symbolic dimensions and its weights in one external file, as exporters do. The compiler's own
// builder is for static graphs; this one is for the models that other runtimes are compared on.
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '@baton/compiler/onnx';

const TYPES = { f32: DataType.FLOAT, int64: DataType.INT64, int8: DataType.INT8, uint8: DataType.UINT8 };
export const INT32 = DataType.INT32;
export const FLOAT = DataType.FLOAT;

type Dim = number | string;

export class OnnxModel {
  readonly #folder: string;
  readonly #file: string;
  readonly #nodes: NodeProto[] = [];
  readonly #constants = new Map<string, TensorProto>();
  readonly #inputs: ValueInfoProto[] = [];
  readonly #outputs: ValueInfoProto[] = [];
  #weights: Awaited<ReturnType<typeof open>> | undefined;
  #offset = 0;

  /** Will write `folder`/`name`.onnx and `name`.onnx_data. */
  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#file = `${name}.onnx`;
  }

  input(name: string, type: keyof typeof TYPES, dims: readonly Dim[]): void {
    this.#inputs.push(valueInfo(name, type, dims));
  }

  output(name: string, type: keyof typeof TYPES, dims: readonly Dim[]): void {
    this.#outputs.push(valueInfo(name, type, dims));
  }

  /** Adds a node; returns its first output. Integer attributes are bigint. */
  node(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    options: { attributes?: Record<string, bigint | number>; domain?: string } = {},
  ): string {
    const attribute = Object.entries(options.attributes ?? {}).map(([name, value]): AttributeProto =>
      typeof value === 'bigint'
        ? create(AttributeProtoSchema, { name, type: AttributeType.INT, i: value })
        : create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value }),
    );
    const [input, output, domain] = [[...inputs], [...outputs], options.domain ?? ''];
    this.#nodes.push(
      create(NodeProtoSchema, { name: outputs[0]!, opType: op, domain, input, output, attribute }),
    );
    return outputs[0]!;
  }

  /** A small constant kept in the graph; the same name again is the same constant. */
  constant(name: string, type: keyof typeof TYPES, dims: readonly number[], values: ArrayBufferView): string {
    this.#constants.set(
      name,
      create(TensorProtoSchema, {
        name,
        dims: dims.map(BigInt),
        dataType: TYPES[type],
        rawData: bytesOf(values),
      }),
    );
    return name;
  }

  /** A weight, written to the external file at once. */
  async weight(
    name: string,
    type: keyof typeof TYPES,
    dims: readonly number[],
    values: ArrayBufferView,
  ): Promise<string> {
    this.#weights ??= await open(path.join(this.#folder, `${this.#file}_data`), 'w');
    const bytes = bytesOf(values);
    await this.#weights.write(bytes, 0, bytes.length, this.#offset);
    const entry = (key: string, value: string | number): { key: string; value: string } => ({
      key,
      value: String(value),
    });
    this.#constants.set(
      name,
      create(TensorProtoSchema, {
        name,
        dims: dims.map(BigInt),
        dataType: TYPES[type],
        dataLocation: TensorProto_DataLocation.EXTERNAL,
        externalData: [
          entry('location', `${this.#file}_data`),
          entry('offset', this.#offset),
          entry('length', bytes.length),
        ],
      }),
    );
    // Page-aligned, so that a reader may map it.
    this.#offset += Math.ceil(bytes.length / 4096) * 4096;
    return name;
  }

  async write(): Promise<void> {
    await this.#weights?.close();
    const model = create(ModelProtoSchema, {
      irVersion: 8n,
      producerName: 'bench',
      opsetImport: [
        { domain: '', version: 17n },
        { domain: 'com.microsoft', version: 1n },
      ],
      graph: {
        name: 'decoder',
        node: this.#nodes,
        initializer: [...this.#constants.values()],
        input: this.#inputs,
        output: this.#outputs,
      },
    });
    await writeFile(path.join(this.#folder, this.#file), toBinary(ModelProtoSchema, model));
  }
}

function bytesOf(view: ArrayBufferView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}

function valueInfo(name: string, type: keyof typeof TYPES, dims: readonly Dim[]): ValueInfoProto {
  const dim = dims.map((d) => ({
    value:
      typeof d === 'number'
        ? { case: 'dimValue' as const, value: BigInt(d) }
        : { case: 'dimParam' as const, value: d },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType: TYPES[type], shape: { dim } } } },
  });
}
