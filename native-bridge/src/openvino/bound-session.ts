// One compiled graph as the session that the runtime's ONNX backend runs. Arrays are wrapped and bound once, so that a
// decode step is writing into arrays and one call; nothing goes through `.data`, which copies. Knows openvino-node's traps
// (shared arrays must own their buffer; inferAsync binds by position; infer and inferAsync copy every output; a failed
// inference may never settle its promise) so that nothing above has to.
import { RuntimeError } from '@baton/runtime';
import type { ManifestGraph, ManifestPort } from '@baton/compiler';
import { Tensor as OrtTensor, type InferenceSession } from 'onnxruntime-common';
import type { AsyncInferQueue, CompiledModel, InferRequest, Tensor } from 'openvino-node/types/addon.d.ts';
import type { Openvino } from './load.ts';

type HostArray = Float32Array | Int32Array;

/**
 * A run that takes longer than any before it by this much is taken for one that never ends: AsyncInferQueue does not
 * call back when the device fails. The first run has the longer limit, for what a driver does only once.
 */
const PATIENCE = { first: 120_000, factor: 20, least: 15_000 };

interface Input {
  port: ManifestPort;
  /** Wrappers by array. A wrapper must not outlive its array, nor the array the wrapper. */
  wrapped: WeakMap<HostArray, Tensor>;
  /** What the request reads now; kept alive here, for the native side does not keep it. */
  bound: HostArray | null;
  /** Where data goes that OpenVINO cannot share; made when first needed. */
  own: HostArray | null;
}

interface Output {
  port: ManifestPort;
  array: HostArray;
  tensor: Tensor;
}

/** `graph` has no half-precision ports (graph-check.ts): openvino-node cannot pass them. */
export function boundSession(
  addon: Openvino,
  compiled: CompiledModel,
  graph: ManifestGraph,
): InferenceSession {
  return new BoundSession(addon, compiled, graph);
}

class BoundSession implements InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly InferenceSession.ValueMetadata[] = [];
  readonly outputMetadata: readonly InferenceSession.ValueMetadata[] = [];
  readonly #addon: Openvino;
  readonly #file: string;
  readonly #queue: AsyncInferQueue;
  readonly #inputs: readonly Input[];
  readonly #outputs: readonly Output[];
  /** Outputs are bound in the first callback; until the second has shown that the device writes there, they are copied. */
  #outputState: 'unbound' | 'unproven' | 'bound' | 'copied' = 'unbound';
  #slowest = 0;
  /** A run that never ended may still write into the arrays. */
  #hung = false;

  constructor(addon: Openvino, compiled: CompiledModel, graph: ManifestGraph) {
    this.#addon = addon;
    this.#file = graph.file;
    this.inputNames = graph.inputs.map((p) => p.name);
    this.outputNames = graph.outputs.map((p) => p.name);
    this.#inputs = graph.inputs.map((port) => ({ port, wrapped: new WeakMap(), bound: null, own: null }));
    this.#outputs = graph.outputs.map((port) => {
      const array = arrayFor(port);
      return { port, array, tensor: this.#wrap(port, array) };
    });
    const Queue = addon.AsyncInferQueue;
    // One job: there is one request then, and what was bound once stays bound.
    this.#queue = new Queue(compiled, 1);
    this.#queue.setCallback((error, request) => {
      if (!error) this.#collect(request);
    });
  }

  /** Outputs are this session's own memory, overwritten by its next run. */
  async run(feeds: InferenceSession.FeedsType): Promise<InferenceSession.ReturnType> {
    if (this.#hung) throw new Error(`${this.#file}: an earlier run has not ended`);
    const changed: Record<string, Tensor> = {};
    for (const input of this.#inputs) {
      const tensor = this.#bind(input, dataOf(feeds, input.port.name));
      if (tensor) changed[input.port.name] = tensor;
    }
    // So that outputs which are still those of the run before do not pass for new ones.
    if (this.#outputState === 'unproven') for (const { array } of this.#outputs) array.fill(UNWRITTEN);
    const began = performance.now();
    await this.#patiently(this.#queue.startAsync(changed, {}));
    this.#slowest = Math.max(this.#slowest, performance.now() - began);
    return Object.fromEntries(
      this.#outputs.map(({ port, array }) => [
        port.name,
        new OrtTensor(ortType(port), array as Float32Array, port.dims),
      ]),
    );
  }

  /** Without this the process does not end. */
  async release(): Promise<void> {
    this.#queue.release();
  }

  startProfiling(): void {}
  endProfiling(): void {}

  /** The tensor to bind, or null where the request reads this array already. */
  #bind(input: Input, data: HostArray): Tensor | null {
    const ownsBuffer = data.byteOffset === 0 && data.byteLength === data.buffer.byteLength;
    let array = data;
    if (!ownsBuffer) {
      array = input.own ??= arrayFor(input.port);
      array.set(data);
    }
    if (array === input.bound) return null;
    let tensor = input.wrapped.get(array);
    if (!tensor) {
      tensor = this.#wrap(input.port, array);
      input.wrapped.set(array, tensor);
    }
    input.bound = array;
    return tensor;
  }

  async #patiently(run: Promise<object>): Promise<void> {
    const limit =
      this.#slowest === 0 ? PATIENCE.first : Math.max(PATIENCE.least, this.#slowest * PATIENCE.factor);
    let timer: NodeJS.Timeout | undefined;
    const never = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#hung = true;
        reject(new Error(`no answer from the device for ${Math.round(limit / 1000)} s`));
      }, limit);
    });
    try {
      await Promise.race([run, never]);
    } catch (error) {
      // Whatever was bound for this run may not be bound now.
      for (const input of this.#inputs) input.bound = null;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #collect(request: InferRequest): void {
    if (this.#outputState === 'bound') return;
    const copies = this.#outputs.map(({ port }) => request.getTensor(port.name).data as HostArray);
    if (this.#outputState === 'unproven') {
      this.#outputState = copies.every((copy, i) => sameBytes(copy, this.#outputs[i]!.array))
        ? 'bound'
        : 'copied';
      if (this.#outputState === 'bound') return;
    }
    this.#outputs.forEach(({ array }, i) => array.set(copies[i]!));
    if (this.#outputState === 'unbound') this.#bindOutputs(request);
  }

  #bindOutputs(request: InferRequest): void {
    try {
      for (const { port, tensor } of this.#outputs) request.setTensor(port.name, tensor);
      this.#outputState = 'unproven';
    } catch {
      // Copying the new rows costs little; a request that refuses to be bound is no reason to fail.
      this.#outputState = 'copied';
    }
  }

  #wrap(port: ManifestPort, array: HostArray): Tensor {
    const Tensor = this.#addon.Tensor;
    return new Tensor(port.dtype === 'int32' ? 'i32' : 'f32', [...port.dims], array);
  }
}

/** A number that no output consists of. */
const UNWRITTEN = -123_456_789;

function arrayFor(port: ManifestPort): HostArray {
  const size = port.dims.reduce((a, b) => a * b, 1);
  return port.dtype === 'int32' ? new Int32Array(size) : new Float32Array(size);
}

function dataOf(feeds: InferenceSession.FeedsType, name: string): HostArray {
  const tensor = feeds[name] as OrtTensor | undefined;
  if (!tensor) throw new RuntimeError('bad-input', `the input ${name} is missing`);
  return tensor.data as HostArray;
}

function sameBytes(a: HostArray, b: HostArray): boolean {
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}

function bytes(array: HostArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function ortType(port: ManifestPort): 'float32' | 'int32' {
  return port.dtype === 'int32' ? 'int32' : 'float32';
}
