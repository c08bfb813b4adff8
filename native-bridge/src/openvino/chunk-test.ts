// The numeric self-test of one graph: fixed inputs through the device and through OpenVINO's CPU. Silent wrong results of
// NPU compilers are on record, and a model that writes nonsense fluently is worse than one that is refused. Which graph is
// wrong is said, for that is what a bug report needs.
import { RuntimeError } from '@baton/runtime';
import { MASKED, type ManifestGraph } from '@baton/compiler';
import { Tensor, type InferenceSession } from 'onnxruntime-common';

/** Half precision inside the device: some thousandths are usual, a wrong graph is off by tenths or more. */
const MOST_ERROR = 0.03;

/**
 * The largest relative error of the graph's outputs, ||device - CPU|| / ||CPU||. Throws `target-refused` naming graph and
 * output where half precision does not explain it.
 */
export async function testChunk(
  device: string,
  graph: ManifestGraph,
  session: InferenceSession,
  reference: InferenceSession,
): Promise<number> {
  const feeds = fixedInputs(graph);
  const want = copies(await reference.run(feeds));
  const got = copies(await session.run(feeds));
  let worst = 0;
  for (const [name, values] of want) {
    const error = relativeError(got.get(name)!, values);
    // NaN is no number that passes.
    if (!(error <= MOST_ERROR))
      throw new RuntimeError(
        'target-refused',
        `${device} computes ${graph.file} wrongly: its output ${name} is off by ${error.toPrecision(3)} of the CPU’s ` +
          `(at most ${MOST_ERROR} is accepted); use another target, and report it with the versions that baton doctor lists`,
      );
    worst = Math.max(worst, error);
  }
  return worst;
}

/**
 * The same numbers in every run: small, signed, without a pattern that rounding could favour. Of the past, every second
 * slot is masked, so that a device which loses the mask is found out.
 */
export function fixedInputs(graph: ManifestGraph): Record<string, Tensor> {
  let state = 12345;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return Object.fromEntries(
    graph.inputs.map(({ name, dtype, dims }) => {
      const size = dims.reduce((a, b) => a * b, 1);
      if (dtype === 'int32')
        return [
          name,
          new Tensor(
            'int32',
            Int32Array.from({ length: size }, (_, i) => i),
            dims,
          ),
        ];
      const value = name.startsWith('mask') ? (_: unknown, i: number) => (i % 2 === 0 ? 0 : MASKED) : next;
      return [name, new Tensor('float32', Float32Array.from({ length: size }, value), dims)];
    }),
  );
}

/** Outputs are memory of the session, overwritten by its next run. Arg-max is left out: near ties it may differ. */
function copies(result: InferenceSession.ReturnType): Map<string, number[]> {
  return new Map(
    Object.entries(result)
      .filter(([, value]) => value.type === 'float32')
      .map(([name, value]) => [name, Array.from((value as Tensor).data as Float32Array)]),
  );
}

function relativeError(got: readonly number[], want: readonly number[]): number {
  let difference = 0;
  let norm = 0;
  want.forEach((w, i) => {
    difference += (got[i]! - w) ** 2;
    norm += w ** 2;
  });
  return Math.sqrt(difference / (norm || 1));
}
