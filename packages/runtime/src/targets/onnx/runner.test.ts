// Whose memory a run's results are: kept and freed as they are only where the runtime gives every run new ones.
import { Tensor } from 'onnxruntime-common';
import { expect, test } from 'vitest';
import { GraphRunner } from './runner.ts';

const runner = (freshResults: boolean): GraphRunner =>
  new GraphRunner({
    target: 'ort-cpu',
    Tensor,
    freshResults,
    open: () => Promise.reject(new Error('nothing is opened here')),
  });

test('results in the memory of a session, which its next run overwrites, are copied and never freed', () => {
  const session = Float32Array.of(1, 2, 3);
  const kept = runner(false).kept(session, 2);
  runner(false).discard(session);
  session.fill(9);
  expect([...kept]).toEqual([1, 2]);
});

test.skipIf(!('transfer' in ArrayBuffer.prototype))(
  'results of their own are kept as they are, and freed when they were read',
  () => {
    const result = Float32Array.of(1, 2, 3);
    expect(runner(true).kept(result, 3).buffer).toBe(result.buffer);
    runner(true).discard(result);
    expect(result.length).toBe(0);
  },
);
