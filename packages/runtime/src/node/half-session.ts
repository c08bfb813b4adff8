// onnxruntime-node 1.30 reads and gives f16 as Uint16Array, while onnxruntime-common makes every f16 tensor a Float16Array
// where there is one (Node 24), which the native side then takes for empty. This turns one into the other around a run.
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-common';

type Tensors = Record<string, Tensor>;

/** `session` with Float16Array in f16 tensors on both sides. */
export function halfSession(session: InferenceSession, Tensor: TensorConstructor): InferenceSession {
  const run = async (feeds: Tensors): Promise<Tensors> => {
    const results = (await session.run(map(feeds, (t) => toBits(t, Tensor)))) as Tensors;
    return map(results, (t) => toHalves(t, Tensor));
  };
  return { run, release: () => session.release() } as InferenceSession;
}

function map(tensors: Tensors, change: (tensor: Tensor) => Tensor): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));
}

function toBits(tensor: Tensor, Tensor: TensorConstructor): Tensor {
  const data: unknown = tensor.data;
  if (!(data instanceof Float16Array)) return tensor;
  const bits = new Uint16Array(data.buffer, data.byteOffset, data.length);
  return Object.assign(new Tensor('uint16', bits, tensor.dims), { type: 'float16' }) as unknown as Tensor;
}

function toHalves(tensor: Tensor, Tensor: TensorConstructor): Tensor {
  const data: unknown = tensor.data;
  if (tensor.type !== 'float16' || !(data instanceof Uint16Array)) return tensor;
  return new Tensor('float16', data, tensor.dims);
}
