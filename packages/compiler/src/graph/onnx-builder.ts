// Builds one ONNX model: nodes, constants, references into the external weight file. Knows the ONNX format (IR version 10,
// opset 21, as OpenVINO's and ONNX Runtime's readers both take) and nothing of networks.
import { create, toBinary } from '@bufbuild/protobuf';
import type { ManifestPort } from '../manifest.ts';
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
} from '../onnx/gen/onnx_pb.js';

const OPSET = 21;
const IR_VERSION = 10n;
export const CONTRIB_DOMAIN = 'com.microsoft';

export const ELEMENT_TYPES = {
  f32: DataType.FLOAT,
  f16: DataType.FLOAT16,
  int32: DataType.INT32,
  int8: DataType.INT8,
  uint8: DataType.UINT8,
  int4: DataType.INT4,
  uint4: DataType.UINT4,
} as const;

export type ElementType = keyof typeof ELEMENT_TYPES;

/** A range of the external weight file. */
export interface ExternalRange {
  file: string;
  offset: number;
  bytes: number;
}

/** Integer attributes are bigint, so that a float that happens to be whole is not mistaken for one. */
export type AttributeValue = bigint | number | readonly bigint[];

export class OnnxBuilder {
  readonly inputs: ManifestPort[] = [];
  readonly outputs: ManifestPort[] = [];
  readonly #name: string;
  /** Axes of ports whose length is not fixed; one number in a graph, so one name. */
  readonly #free = new Map<string, number>();
  readonly #nodes: NodeProto[] = [];
  readonly #initializers = new Map<string, TensorProto>();
  #contrib = false;

  constructor(name: string) {
    this.#name = name;
  }

  /** `free`: the axis of which any length up to that in `dims` may be given. */
  input(name: string, dtype: ManifestPort['dtype'], dims: readonly number[], free?: number): string {
    this.inputs.push({ name, dtype, dims: [...dims] });
    if (free !== undefined) this.#free.set(name, free);
    return name;
  }

  /** Adds a node and returns its (first) output's name, which is the node's own unless given. */
  node(
    op: string,
    name: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    options: { domain?: string; outputs?: readonly string[] } = {},
  ): string {
    const output = [...(options.outputs ?? [name])];
    if (options.domain) this.#contrib = true;
    this.#nodes.push(
      create(NodeProtoSchema, {
        name,
        opType: op,
        domain: options.domain ?? '',
        input: [...inputs],
        output,
        attribute: Object.entries(attributes).map(([n, v]) => attribute(n, v)),
      }),
    );
    return output[0]!;
  }

  /** Whether a node of this name is there already: what several products share is computed once. */
  has(name: string): boolean {
    return this.#nodes.some((n) => n.name === name);
  }

  output(name: string, dtype: ManifestPort['dtype'], dims: readonly number[], free?: number): void {
    this.outputs.push({ name, dtype, dims: [...dims] });
    if (free !== undefined) this.#free.set(name, free);
  }

  /** A small f32 constant kept in the graph itself; equal names must mean equal values. */
  floats(name: string, dims: readonly number[], values: Float32Array): string {
    return this.#initialise(name, 'f32', dims, { rawData: bytesOf(values) });
  }

  scalar(name: string, value: number): string {
    return this.floats(name, [], Float32Array.of(value));
  }

  /** A uint8 constant, the same number everywhere. */
  bytes(name: string, dims: readonly number[], value: number): string {
    const rawData = new Uint8Array(dims.reduce((n, d) => n * d, 1)).fill(value);
    return this.#initialise(name, 'uint8', dims, { rawData });
  }

  /** A 1-D int32 constant of one number. */
  int32(name: string, value: number): string {
    return this.#initialise(name, 'int32', [1], { rawData: bytesOf(Int32Array.of(value)) });
  }

  /** Shapes, axes: a 1-D int64 constant. */
  int64s(name: string, values: readonly number[]): string {
    return this.#integers(name, [values.length], values);
  }

  /** The numbers 0 .. count - 1 as [1, count]. */
  int64Rows(name: string, count: number): string {
    return this.#integers(name, [1, count], [...Array(count).keys()]);
  }

  #integers(name: string, dims: readonly number[], values: readonly number[]): string {
    if (!this.#initializers.has(name)) {
      const rawData = bytesOf(BigInt64Array.from(values, BigInt));
      const fields = { name, dims: dims.map(BigInt), dataType: DataType.INT64, rawData };
      this.#initializers.set(name, create(TensorProtoSchema, fields));
    }
    return name;
  }

  /** A constant whose bytes lie in the external file. */
  external(name: string, dtype: ElementType, dims: readonly number[], range: ExternalRange): string {
    const entry = (key: string, value: string | number) => ({ key, value: String(value) });
    return this.#initialise(name, dtype, dims, {
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: [
        entry('location', range.file),
        entry('offset', range.offset),
        entry('length', range.bytes),
      ],
    });
  }

  /** The serialised ModelProto. */
  toBytes(producerVersion: string): Uint8Array<ArrayBuffer> {
    const opsets = [{ domain: '', version: BigInt(OPSET) }];
    if (this.#contrib) opsets.push({ domain: CONTRIB_DOMAIN, version: 1n });
    const model = create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'baton',
      producerVersion,
      opsetImport: opsets,
      graph: {
        name: this.#name,
        node: this.#nodes,
        initializer: [...this.#initializers.values()],
        input: this.inputs.map((port) => valueInfo(port, this.#free.get(port.name))),
        output: this.outputs.map((port) => valueInfo(port, this.#free.get(port.name))),
      },
    });
    return toBinary(ModelProtoSchema, model);
  }

  /** Operators used, as "domain:Op"; the standard domain is empty. */
  operators(): ReadonlySet<string> {
    return new Set(this.#nodes.map((n) => `${n.domain}:${n.opType}`));
  }

  #initialise(
    name: string,
    dtype: ElementType,
    dims: readonly number[],
    content: Pick<Partial<TensorProto>, 'rawData'> & {
      dataLocation?: TensorProto_DataLocation;
      externalData?: { key: string; value: string }[];
    },
  ): string {
    if (!this.#initializers.has(name)) {
      const fields = { name, dims: dims.map(BigInt), dataType: ELEMENT_TYPES[dtype], ...content };
      this.#initializers.set(
        name,
        create(TensorProtoSchema, fields as Parameters<typeof create<typeof TensorProtoSchema>>[1]),
      );
    }
    return name;
  }
}

function bytesOf(array: Float32Array | Int32Array | BigInt64Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}

function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'bigint')
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: value });
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: [...value] });
}

function valueInfo(port: ManifestPort, free: number | undefined): ValueInfoProto {
  const dim = port.dims.map((d, axis) => ({
    value:
      axis === free
        ? { case: 'dimParam' as const, value: 'k' }
        : { case: 'dimValue' as const, value: BigInt(d) },
  }));
  return create(ValueInfoProtoSchema, {
    name: port.name,
    type: {
      value: {
        case: 'tensorType',
        value: {
          elemType: ELEMENT_TYPES[port.dtype],
          shape: { dim },
        },
      },
    },
  });
}
