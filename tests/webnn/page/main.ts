// Runs one compiled graph on WebNN and on ONNX Runtime's own kernels, with the same inputs, and gives the largest relative
// difference of any output. A node that WebNN does not take makes the session fail: fallback is switched off.
import type { ManifestGraph } from '@baton/compiler/manifest';
import type * as Ort from 'onnxruntime-web';
import * as jspi from 'onnxruntime-web/jspi';
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';

const ort = jspi as unknown as typeof Ort;
ort.env.wasm.wasmPaths = { wasm, mjs };
ort.env.wasm.numThreads = 1;

/** Small numbers that are the same every time; token ids where integers are asked for. */
function inputs(graph: ManifestGraph): Record<string, Ort.Tensor> {
  let state = 7;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const feeds: Record<string, Ort.Tensor> = {};
  for (const { name, dtype, dims } of graph.inputs) {
    const size = dims.reduce((n, d) => n * d, 1);
    feeds[name] =
      dtype === 'int32'
        ? new ort.Tensor(
            'int32',
            Int32Array.from({ length: size }, (_, i) => 3 * i),
            dims,
          )
        : dtype === 'f16'
          ? new ort.Tensor(
              'float16',
              Float16Array.from({ length: size }, next) as unknown as Uint16Array,
              dims,
            )
          : new ort.Tensor('float32', Float32Array.from({ length: size }, next), dims);
  }
  return feeds;
}

async function outputs(
  folder: string,
  weightsFile: string,
  graph: ManifestGraph,
  provider: 'webnn' | 'wasm',
) {
  const bytes = async (file: string) => new Uint8Array(await (await fetch(`${folder}${file}`)).arrayBuffer());
  const session = await ort.InferenceSession.create(await bytes(graph.file), {
    executionProviders: [provider === 'webnn' ? { name: 'webnn', deviceType: 'cpu' } : 'wasm'],
    externalData: [{ path: weightsFile, data: await bytes(weightsFile) }],
    extra: { session: { disable_cpu_ep_fallback: provider === 'webnn' ? '1' : '0' } },
  });
  try {
    const results = await session.run(inputs(graph));
    return Object.fromEntries(
      Object.entries(results).map(([name, t]) => [name, Array.from(t.data as Float32Array)]),
    );
  } finally {
    await session.release();
  }
}

async function compareGraph(folder: string, weightsFile: string, graph: ManifestGraph): Promise<number> {
  const expected = await outputs(folder, weightsFile, graph, 'wasm');
  const actual = await outputs(folder, weightsFile, graph, 'webnn');
  return Math.max(
    ...Object.entries(expected).map(([name, row]) => {
      const difference = Math.hypot(...row.map((x, i) => x - actual[name]![i]!));
      return difference / Math.hypot(...row);
    }),
  );
}

declare global {
  interface Window {
    compareGraph: typeof compareGraph;
  }
}
window.compareGraph = compareGraph;
