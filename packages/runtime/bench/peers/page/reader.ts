// How fast this page's threads can read memory: the f32 weights of the 100m shape (400 MB), read and not used.
import { WasmSimdBackend } from '../../../src/targets/wasm-simd/backend.ts';
import { randomNetwork } from '../../random-network.ts';
import { SHAPES } from '../../shapes.ts';

export interface ReadTimes {
  bytes: number;
  ms: number[];
}

/** Makes the weights; the function returned reads them `times` times. Also for Node. */
export async function openReader(threads: number): Promise<(times: number) => Promise<ReadTimes>> {
  const { network, weights } = randomNetwork(SHAPES['100m'], 'f32', 64);
  const backend = await WasmSimdBackend.create(network, weights, { capacities: [64], maxRows: 1, threads });
  return async (times) => {
    const ms: number[] = [];
    for (let i = 0; i < times; i++) {
      const start = performance.now();
      await backend.readWeights();
      ms.push(performance.now() - start);
    }
    return { bytes: backend.weightBytes, ms };
  };
}
