// The double's AsyncInferQueue: a pool of requests, one callback for all, inputs by name, outputs left in the request. As
// in openvino-node (src/bindings/js/node/src/async_infer_queue.cpp), a failed inference settles nothing, and a queue with
// a callback keeps the process alive until it is released.
import type {
  AsyncInferQueue,
  AsyncInferQueueCallback,
  CompiledModel,
  InferRequest,
  Tensor,
} from 'openvino-node/types/addon.d.ts';
import { declared, type Members } from './face.ts';
import { DoubleCompiledModel, DoubleInferRequest, wrapped } from './model.ts';

interface Waiting {
  inputs: { [name: string]: Tensor };
  userData: object | undefined;
  resolve(userData: object): void;
  reject(error: unknown): void;
}

export class DoubleAsyncInferQueue implements Members<AsyncInferQueue> {
  readonly #model: DoubleCompiledModel;
  readonly #idle: DoubleInferRequest[];
  readonly #waiting: Waiting[] = [];
  #callback: AsyncInferQueueCallback | null = null;
  #keepsAlive: NodeJS.Timeout | undefined;

  constructor(compiled: CompiledModel, jobs = 1) {
    const model: unknown = compiled;
    if (!(model instanceof DoubleCompiledModel)) throw new Error('Invalid CompiledModel object.');
    this.#model = model;
    this.#idle = Array.from({ length: jobs }, () => new DoubleInferRequest(model));
  }

  setCallback(callback: AsyncInferQueueCallback): void {
    this.release();
    this.#callback = callback;
    this.#keepsAlive = setInterval(() => undefined, 3_600_000);
  }

  startAsync(inputs: { [name: string]: Tensor } | Tensor[], userData?: object): Promise<object> {
    if (!this.#callback)
      throw new Error("Callback has to be set before starting inference. Use 'setCallback' method.");
    return new Promise((resolve, reject) => {
      // An array has the names "0", "1", ...: no port is called that.
      this.#waiting.push({ inputs: inputs as { [name: string]: Tensor }, userData, resolve, reject });
      this.#next();
    });
  }

  release(): void {
    clearInterval(this.#keepsAlive);
    this.#keepsAlive = undefined;
    this.#callback = null;
  }

  #next(): void {
    if (this.#idle.length === 0 || this.#waiting.length === 0) return;
    const request = this.#idle.shift()!;
    const { inputs, userData, resolve, reject } = this.#waiting.shift()!;
    try {
      for (const [name, value] of Object.entries(inputs)) {
        const port = this.#model.ports.inputs.find((p) => p.anyName === name);
        if (!port) throw new Error(`Port for tensor name ${name} was not found.`);
        request.setTensor(name, wrapped(value, port));
      }
    } catch (error) {
      this.#idle.push(request);
      reject(error);
      return;
    }
    request.compute().then(
      () => {
        try {
          this.#callback?.(null, declared<InferRequest>(request), userData!);
          resolve(userData!);
        } catch (error) {
          reject(error);
        }
        this.#idle.push(request);
        this.#next();
      },
      () => {
        // Nobody is told, and the request is not given back.
      },
    );
  }
}
