// The sessions of one compiled model on one ONNX Runtime: opened once each, run, released. Gives every failure of a run
// the one meaning it has for a static graph with checked inputs: the target is lost.

import type { ManifestGraph } from '@baton/compiler';
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';
import { BackendLostError, type TargetId } from '../../backend.ts';
import { RuntimeError, messageOf } from '../../errors.ts';
import { Loss } from '../../loss.ts';
import { asFloat32, discard, ortType, type FloatBuffer } from './buffers.ts';

export interface OnnxRuntime {
  readonly target: TargetId;
  readonly Tensor: TensorConstructor;
  /** Opens a session on the target's provider only; throws `target-refused` where a node would run elsewhere. */
  open(graph: ManifestGraph): Promise<InferenceSession>;
  /**
   * Every run gives its results in buffers of their own, which nobody else reads: they may be kept as they are, and freed.
   * Absent: they may be the session's memory, which its next run writes again.
   */
  readonly freshResults?: boolean;
  /** Resolves with the reason once the device behind the provider is gone; absent where there is none to lose. */
  readonly lost?: Promise<string>;
}

export class GraphRunner {
  readonly #runtime: OnnxRuntime;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();
  /** Of the device: a run that waits for it may never settle, or settle with zeros. */
  readonly #loss = new Loss();
  #gone = false;

  constructor(runtime: OnnxRuntime) {
    this.#runtime = runtime;
    runtime.lost?.then((reason) => {
      this.#gone = true;
      this.#loss.happened(new BackendLostError(runtime.target, reason));
    });
  }

  /** Opens the graph's session if it is not open. */
  async prepare(graph: ManifestGraph): Promise<void> {
    await this.#session(graph);
  }

  /** Whether the target takes the graph; false only where it refuses it. */
  async takes(graph: ManifestGraph): Promise<boolean> {
    try {
      await this.#session(graph);
      return true;
    } catch (error) {
      if (error instanceof RuntimeError && error.code === 'target-refused') return false;
      throw error;
    }
  }

  /** `fetches`: tensors that outputs are written into; absent: the provider makes them. */
  async run(
    graph: ManifestGraph,
    feeds: Record<string, Tensor>,
    fetches?: Record<string, Tensor>,
  ): Promise<Record<string, Tensor>> {
    const session = await this.#session(graph);
    try {
      const running = (fetches ? session.run(feeds, fetches) : session.run(feeds)) as Promise<
        Record<string, Tensor>
      >;
      return await this.#loss.before(running);
    } catch (error) {
      if (error instanceof BackendLostError) throw error;
      throw new BackendLostError(this.#runtime.target, `running ${graph.file} failed: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** The numbers of a tensor wherever it lies, as f32. A lost device counts as lost here too. */
  async numbers(tensor: Tensor): Promise<Float32Array> {
    try {
      const reading = tensor.getData() as Promise<FloatBuffer>;
      return asFloat32(await this.#loss.before(reading));
    } catch (error) {
      if (error instanceof BackendLostError) throw error;
      throw new BackendLostError(this.#runtime.target, `a result could not be read: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** A result's first `count` numbers as f32, to be kept beyond the next run. */
  kept(values: FloatBuffer, count: number): Float32Array {
    const numbers = asFloat32(values);
    const own = this.#runtime.freshResults || numbers !== values;
    return own ? numbers.subarray(0, count) : numbers.slice(0, count);
  }

  /** Frees results that nobody reads any more, where they are ours to free. */
  discard(...results: readonly FloatBuffer[]): void {
    if (this.#runtime.freshResults) results.forEach(discard);
  }

  tensor(
    spec: { dtype: 'f32' | 'f16' | 'int32'; dims: readonly number[] },
    data: FloatBuffer | Int32Array,
  ): Tensor {
    return new this.#runtime.Tensor(ortType(spec), data as Float32Array, spec.dims);
  }

  async close(): Promise<void> {
    // Releasing waits for the device; without one it may wait for ever, and the worker is thrown away anyway.
    if (this.#gone) return;
    const opened = await Promise.allSettled(this.#sessions.values());
    for (const session of opened) if (session.status === 'fulfilled') await session.value.release();
    this.#sessions.clear();
  }

  #session(graph: ManifestGraph): Promise<InferenceSession> {
    let session = this.#sessions.get(graph.file);
    if (!session) {
      session = this.#runtime.open(graph);
      this.#sessions.set(graph.file, session);
    }
    return session;
  }
}

/** An output's numbers on the host; throws `bad-model` where the graph did not give it. */
export function output(tensors: Record<string, Tensor>, name: string, graph: ManifestGraph): FloatBuffer {
  const tensor = tensors[name];
  if (!tensor)
    throw new RuntimeError('bad-model', `${graph.file} gave no output "${name}"; compile the model again`);
  return tensor.data as FloatBuffer;
}
