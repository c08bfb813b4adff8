// The comparison with other runtimes is fair only if they are given the same network: the ONNX export computes what Baton
// computes from the same checkpoint. And its ratios must set a peer against the right rival.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { integerProductsAreExact } from '@baton/compiler';
import { compileDirectory } from '@baton/compiler/node';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison, PeerFigures } from '../bench/peers/compare.ts';
import { exportOnnx, type OnnxType } from '../bench/peers/export-onnx.ts';
import { drawPeers } from '../bench/peers/plots.ts';
import { onnxFile } from '../bench/peers/subjects.ts';
import { floorMs, growth, ratios, summary } from '../bench/peers/summary.ts';
import { prompt, timeTokens } from '../bench/peers/turn.ts';
import { writeRandomCheckpoint } from '../bench/random-checkpoint.ts';
import { openLocal } from '../src/node/index.ts';

const shape = {
  name: 'tiny',
  hidden: 128,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headWidth: 32,
  feedForward: 256,
  vocabulary: 512,
  biases: true,
};
const TEXT = prompt(24);

let folder: string;
let want: Map<number, number>;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-peers-test-'));
  const checkpoint = path.join(folder, 'checkpoint');
  await writeRandomCheckpoint(checkpoint, shape);
  await compileDirectory(checkpoint, path.join(folder, 'f32'), { context: 64, weights: 'f32' });
  const model = await openLocal(path.join(folder, 'f32'), { target: 'ort-cpu' });
  try {
    const ids = model.tokenizer.encodeSequence(TEXT);
    expect(ids).toHaveLength(TEXT.length);
    const last = (await model.score({ ids }, 8)).at(-1)!;
    want = new Map(last.top!.map(({ id, logprob }) => [id, logprob]));
  } finally {
    await model.close();
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Log-probabilities behind `before` tokens, then the rest of them one at a time, as generation feeds them. */
async function logprobs(type: OnnxType, tokens: number[], before: number): Promise<number[]> {
  await exportOnnx(path.join(folder, 'checkpoint'), shape, type, folder);
  const session = await ort.InferenceSession.create(onnxFile(folder, type));
  const int64 = (values: number[]): ort.Tensor =>
    new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  let cache: Record<string, ort.Tensor> = Object.fromEntries(
    session.inputNames
      .filter((name) => name.startsWith('past'))
      .map((name) => [name, new ort.Tensor('float32', new Float32Array(0), [1, 2, 0, 32])]),
  );
  let logits: Float32Array | undefined;
  const pieces = [tokens.slice(0, before), ...tokens.slice(before).map((token) => [token])];
  let held = 0;
  for (const piece of pieces) {
    held += piece.length;
    const out = await session.run({
      input_ids: int64(piece),
      attention_mask: int64(Array.from({ length: held }, () => 1)),
      num_logits_to_keep: new ort.Tensor('int64', BigInt64Array.of(1n), []),
      ...cache,
    });
    expect(out.logits!.dims).toEqual([1, 1, shape.vocabulary]);
    logits = out.logits!.data as Float32Array;
    cache = Object.fromEntries(
      Object.entries(out)
        .filter(([name]) => name !== 'logits')
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
  }
  await session.release();
  const top = Math.max(...logits!);
  const sum = Math.log(logits!.reduce((total, v) => total + Math.exp(v - top), 0)) + top;
  return Array.from(logits!, (v) => v - sum);
}

describe('the ONNX export', async () => {
  // score() tells the prediction for its last token from those before it.
  const tokens = Array.from(TEXT, (c) => c.charCodeAt(0)).slice(0, -1);

  // Where products of bytes saturate, the usual q8 export is another network.
  const types = (await integerProductsAreExact(ort))
    ? (['fp32', 'q4', 'q8'] as const)
    : (['fp32', 'q4'] as const);
  it.each(types)('%s is the network of the checkpoint', async (type) => {
    const got = await logprobs(type, tokens, 15);
    const error = Math.max(...[...want].map(([id, logprob]) => Math.abs(got[id]! - logprob)));
    // Log-probabilities lie near -4; rounding weights moves them by tenths, a wrong graph by whole numbers.
    expect(error).toBeLessThan({ fp32: 1e-4, q4: 0.5, q8: 0.15 }[type]);
  });
});

const timing = (median: number): { min: number; median: number; samples: number } => ({
  min: median,
  median,
  samples: 1,
});
const figure = (id: string, bitsPerWeight: number, decode: number, prefill: number): PeerFigures => ({
  id,
  runtime: id.split(' ')[0]!,
  weights: 'w',
  bitsPerWeight,
  description: '',
  loadMs: 1000,
  decode: { 128: timing(decode), 1000: timing(decode * 1.25) },
  prefill: timing(prefill),
});
const comparison: Comparison = {
  schema: 'baton.bench.peers/1',
  place: 'node',
  widths: 'quantised',
  host: 'Node',
  machine: { processor: 'p', cores: 2, memoryBytes: 1, platform: 'linux x64' },
  shape: 'tiny',
  graphWeights: 8e6,
  threads: 2,
  prefillAt: 512,
  read: { ...timing(2), bytes: 40e6, gigabytesPerSecond: 20 },
  figures: [
    figure('baton a', 4.5, 10, 4),
    figure('baton b', 8.5, 8, 1),
    figure('peer q4', 4.5, 20, 2),
    figure('peer q8', 8.5, 4, 2),
  ],
  skipped: [{ id: 'peer none', reason: 'is not here' }],
};

describe('the summary', () => {
  it('sets every peer against the fastest of equal or fewer bits', () => {
    const [q4, q8] = ratios(comparison);
    expect(q4!.decode[128]).toEqual({ best: 'baton a', median: 2, least: 2 });
    expect(q4!.prefill).toEqual({ best: 'baton a', median: 0.5, least: 0.5 });
    expect(q8!.decode[1000]).toEqual({ best: 'baton b', median: 0.5, least: 0.5 });
    expect(q8!.prefill).toEqual({ best: 'baton b', median: 2, least: 2 });
  });

  it('knows the floor and the growth', () => {
    // 8 M weights of 4.5 bits are 4.5 MB; memory was read at 20 MB per ms.
    expect(floorMs(comparison, 4.5)).toBeCloseTo(0.225);
    expect(growth(comparison.figures[0]!)).toBeCloseTo(0.25);
  });

  it('shows every figure and what was left out', () => {
    const text = summary(comparison);
    for (const f of comparison.figures) expect(text).toContain(`| ${f.decode[128]!.median.toFixed(1)} (`);
    expect(text).toContain('peer none: is not here');
    const plots = drawPeers(comparison);
    expect(plots.map((p) => p.file)).toEqual([
      'peers-tiny-node-quantised-decode.svg',
      'peers-tiny-node-quantised-prefill.svg',
    ]);
    for (const { svg } of plots) expect(svg).toContain('peer q8 (8.5 bits)');
  });
});

it('a step is the mean of four tokens behind the first', async () => {
  const stream = async function* (): AsyncGenerator<number> {
    const start = performance.now();
    for (const after of [10, 11, 11, 19, 30, 30, 31, 32, 34]) yield start + after;
  };
  const { firstMs, stepMs } = await timeTokens(stream, { context: 8, tokens: 9 });
  // From the request on, which is some time before the stream's own start.
  expect(firstMs).toBeGreaterThanOrEqual(10);
  expect(stepMs).toEqual([5, 1].map((ms) => expect.closeTo(ms, 6)));
});

it('a stream that ends early is no figure', async () => {
  const stream = async function* (): AsyncGenerator<number> {
    yield performance.now();
  };
  await expect(timeTokens(stream, { context: 8, tokens: 2 })).rejects.toThrow('ended after 1 of 2 tokens');
});
