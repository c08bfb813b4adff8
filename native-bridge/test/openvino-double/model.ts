// The double's compiled model and inference request: ONNX Runtime's CPU provider behind openvino-node's faces. A device
// that is not the CPU computes in half precision, as NPUs do, by rounding what comes out.
import { setTimeout as sleep } from 'node:timers/promises';
import * as ort from 'onnxruntime-node';
import type {
  CompiledModel,
  InferRequest,
  Output,
  OVAny,
  PartialShape,
  SupportedTypedArray,
  Tensor,
} from 'openvino-node/types/addon.d.ts';
import { declared, type Members } from './face.ts';
import { settings } from './settings.ts';
import { DoubleTensor, type ElementName } from './tensor.ts';

const ELEMENTS: Readonly<Record<string, ElementName>> = {
  float32: 'f32',
  float16: 'f16',
  int32: 'i32',
  int64: 'i64',
};

export class DoubleOutput implements Members<Output> {
  readonly anyName: string;
  readonly shape: number[];
  readonly elementName: ElementName;

  constructor(name: string, shape: readonly number[], elementName: ElementName) {
    this.anyName = name;
    this.shape = [...shape];
    this.elementName = elementName;
  }
  getAnyName(): string {
    return this.anyName;
  }
  getShape(): number[] {
    return [...this.shape];
  }
  getPartialShape(): PartialShape {
    throw new Error('the double has static shapes only; use shape');
  }
  toString(): string {
    return this.anyName;
  }
}

export class DoubleCompiledModel implements Members<CompiledModel> {
  readonly session: ort.InferenceSession;
  readonly device: string;
  readonly file: string;
  readonly ports: { inputs: DoubleOutput[]; outputs: DoubleOutput[] };
  readonly #properties: Readonly<Record<string, OVAny>>;

  constructor(
    session: ort.InferenceSession,
    device: string,
    file: string,
    properties: Readonly<Record<string, OVAny>>,
  ) {
    this.session = session;
    this.device = device;
    this.file = file;
    this.#properties = properties;
    this.ports = { inputs: ports(session.inputMetadata), outputs: ports(session.outputMetadata) };
  }
  get inputs(): Output[] {
    return this.ports.inputs.map((port) => declared<Output>(port));
  }
  get outputs(): Output[] {
    return this.ports.outputs.map((port) => declared<Output>(port));
  }
  input(which?: number | string): Output {
    return declared<Output>(pick(this.ports.inputs, which));
  }
  output(which?: number | string): Output {
    return declared<Output>(pick(this.ports.outputs, which));
  }
  createInferRequest(): InferRequest {
    return declared<InferRequest>(new DoubleInferRequest(this));
  }
  exportModelSync(): Buffer {
    throw new Error('the double exports no models');
  }
  getProperty(name: string): OVAny {
    const value = this.#properties[name];
    if (value === undefined) throw new Error(`[ NOT_FOUND ] Option '${name}' is not supported`);
    return value;
  }
  setProperty(): void {
    throw new Error('the double changes no compiled model');
  }
}

function ports(metadata: readonly ort.InferenceSession.ValueMetadata[]): DoubleOutput[] {
  return metadata.map((m) => {
    if (!m.isTensor) throw new Error(`${m.name} is no tensor`);
    return new DoubleOutput(m.name, m.shape as number[], ELEMENTS[m.type] ?? 'f16');
  });
}

function pick(all: readonly DoubleOutput[], which: number | string | undefined): DoubleOutput {
  if (which === undefined && all.length !== 1) throw new Error('the model has several ports; name one');
  const found = typeof which === 'string' ? all.find((p) => p.anyName === which) : all[which ?? 0];
  if (!found) throw new Error(`Port for tensor name ${String(which)} was not found.`);
  return found;
}

export class DoubleInferRequest implements Members<InferRequest> {
  readonly #model: DoubleCompiledModel;
  readonly #tensors = new Map<string, DoubleTensor>();

  constructor(model: DoubleCompiledModel) {
    this.#model = model;
  }
  infer(): { [name: string]: Tensor } {
    throw new Error('the double has no synchronous inference');
  }
  /** Binds by position: the names of an object are not read. Every output is a copy. */
  async inferAsync(inputs: { [name: string]: Tensor } | Tensor[]): Promise<{ [name: string]: Tensor }> {
    Object.values(inputs).forEach((tensor, i) => this.setInputTensor(i, tensor));
    await this.compute();
    return Object.fromEntries(
      this.#model.ports.outputs.map((port) => {
        const copy = DoubleTensor.forPort(port.elementName, port.shape);
        this.#tensor(port).copyTo(declared<Tensor>(copy));
        return [port.anyName, declared<Tensor>(copy)];
      }),
    );
  }
  getCompiledModel(): CompiledModel {
    return declared<CompiledModel>(this.#model);
  }
  getInputTensor(index?: number): Tensor {
    return declared<Tensor>(this.#tensor(pick(this.#model.ports.inputs, index)));
  }
  getOutputTensor(index?: number): Tensor {
    return declared<Tensor>(this.#tensor(pick(this.#model.ports.outputs, index)));
  }
  getTensor(which: string | Output): Tensor {
    return declared<Tensor>(this.#tensor(this.#port(typeof which === 'string' ? which : which.anyName)));
  }
  setInputTensor(first: number | Tensor, second?: Tensor): void {
    this.#set(this.#model.ports.inputs, first, second);
  }
  setOutputTensor(first: number | Tensor, second?: Tensor): void {
    this.#set(this.#model.ports.outputs, first, second);
  }
  setTensor(name: string, tensor: Tensor): void {
    this.#bind(this.#port(name), tensor);
  }

  /** What infer, inferAsync and the queue have in common. */
  async compute(): Promise<void> {
    const { session, device, file, ports } = this.#model;
    const { runMs = {}, wrong, fails } = settings();
    const isCpu = device === 'CPU';
    if (runMs[device]) await sleep(runMs[device]);
    if (!isCpu && fails !== undefined && file.includes(fails)) throw new Error('DEVICE_LOST');
    const feeds = ports.inputs.map((port) => {
      const type = port.elementName === 'i32' ? 'int32' : 'float32';
      return [port.anyName, new ort.Tensor(type, this.#tensor(port).view() as Float32Array, port.shape)];
    });
    const results = await session.run(Object.fromEntries(feeds) as Record<string, ort.Tensor>);
    for (const port of ports.outputs) {
      const into = this.#tensor(port).view();
      into.set(results[port.anyName]!.data as Float32Array);
      if (isCpu || into instanceof Int32Array) continue;
      into.set(Float16Array.from(into));
      // Off by a part that text would not show at once.
      if (wrong !== undefined && file.includes(wrong))
        into.forEach((x, i) => (into[i] = i % 3 === 0 ? x * 1.5 : x));
    }
  }

  #port(name: string): DoubleOutput {
    const { inputs, outputs } = this.#model.ports;
    return pick([...inputs, ...outputs], name);
  }
  #tensor(port: DoubleOutput): DoubleTensor {
    let tensor = this.#tensors.get(port.anyName);
    if (!tensor) {
      tensor = DoubleTensor.forPort(port.elementName, port.shape);
      this.#tensors.set(port.anyName, tensor);
    }
    return tensor;
  }
  #set(all: readonly DoubleOutput[], first: number | Tensor, second?: Tensor): void {
    if (typeof first === 'number') this.#bind(pick(all, first), second!);
    else this.#bind(pick(all, undefined), first);
  }
  #bind(port: DoubleOutput, value: Tensor): void {
    const tensor: unknown = value;
    if (!(tensor instanceof DoubleTensor))
      throw new Error('Cannot create a tensor from the passed Napi::Value.');
    if (tensor.elementName !== port.elementName)
      throw new Error(
        `The tensor element type is not corresponding with output element type (${port.anyName})`,
      );
    if (String(tensor.getShape()) !== String(port.shape))
      throw new Error(`The tensor size is not equal to the model input/output size (${port.anyName})`);
    const isOutput = this.#model.ports.outputs.includes(port);
    if (isOutput && this.#model.device !== 'CPU' && settings().ignoresOutputs) return;
    this.#tensors.set(port.anyName, tensor);
  }
}

/** A plain array where openvino-node takes either. */
export function wrapped(value: Tensor | SupportedTypedArray, port: DoubleOutput): Tensor {
  if (!ArrayBuffer.isView(value)) return value;
  const type = port.elementName === 'f16' ? 'u16' : port.elementName;
  return declared<Tensor>(new DoubleTensor(type as never, port.shape, value));
}
