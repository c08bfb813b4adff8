// `baton bench` on a tiny compiled model: every figure is there and every bad argument is one clear line. What the figures
// are is no test's business.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory } from '@baton/compiler/node';
import type { BenchCompile } from '@baton/compiler/bench';
import type { Bench } from '@baton/runtime/bench';
import type { RelayBench } from '@baton/split/bench';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../main.ts';
import { benchCommand } from './bench.ts';

const CHECKPOINT = fileURLToPath(
  new URL('../../../../packages/compiler/test/fixtures/qwen2', import.meta.url),
);
let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'baton-bench-test-'));
  model = path.join(folder, 'model');
  await compileDirectory(CHECKPOINT, model, {
    context: 64,
    chunk: 16,
    weights: 'int4',
    group: 'channel',
    head: 'int4',
  });
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

const bench = (...args: string[]): Promise<unknown> =>
  benchCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .parseAsync(args, { from: 'user' });

it('measures every target on a compiled model and writes the figures', async () => {
  const out = path.join(folder, 'bench.json');
  await bench('--model', model, '--context', '8,40', '--rounds', '1', '--out', out);
  const result = JSON.parse(await readFile(out, 'utf8')) as Bench;
  expect(result.schema).toBe('baton.bench/1');
  expect(result.readBandwidth!.gigabytesPerSecond).toBeGreaterThan(0);
  const [figures] = result.models;
  expect(figures!.skipped).toEqual([]);
  expect(figures!.targets.map((t) => t.target)).toEqual(['wasm-simd', 'ort-cpu']);
  for (const t of figures!.targets) {
    expect(Object.keys(t.decode)).toEqual(['8', '40']);
    for (const time of [t.prefill, ...Object.values(t.decode)]) {
      expect(time.samples).toBeGreaterThan(0);
      expect(time.min).toBeGreaterThan(0);
      expect(time.median).toBeGreaterThanOrEqual(time.min);
    }
    expect(t.loadMs).toBeGreaterThan(0);
    expect(t.peakBytes).toBeGreaterThan(1e6);
  }
});

it('says which target could not be measured and why', async () => {
  const out = path.join(folder, 'skipped.json');
  await bench(
    '--model',
    model,
    '--context',
    '8',
    '--rounds',
    '1',
    '--target',
    'wasm-simd,webgpu',
    '--out',
    out,
  );
  const { models } = JSON.parse(await readFile(out, 'utf8')) as Bench;
  expect(models[0]!.targets.map((t) => t.target)).toEqual(['wasm-simd']);
  expect(models[0]!.skipped).toMatchObject([
    { target: 'webgpu', reason: expect.stringContaining('browser') },
  ]);
});

it('measures the compiler in a process of its own', async () => {
  const out = path.join(folder, 'compile.json');
  await bench(
    'compile',
    '--shape',
    'tiny',
    '--weights',
    'int4,f16',
    '--rounds',
    '1',
    '--out',
    out,
    '--work',
    folder,
  );
  const { results, schema } = JSON.parse(await readFile(out, 'utf8')) as BenchCompile;
  expect(schema).toBe('baton.bench-compile/1');
  expect(results.map((r) => [r.shape, r.weights])).toEqual([
    ['tiny', 'int4'],
    ['tiny', 'f16'],
  ]);
  for (const { sourceBytes, outputBytes, runs } of results) {
    expect(sourceBytes).toBeGreaterThan(outputBytes / 4);
    expect(runs).toHaveLength(1);
    expect(runs[0]!.megabytesPerSecond).toBeGreaterThan(0);
    expect(runs[0]!.peakBytes).toBeGreaterThan(1e7);
  }
  expect((await readdir(folder)).filter((name) => name.startsWith('baton-bench-compile'))).toEqual([]);
});

it('measures the demo pair without arguments of its own, and keeps the parts of an earlier run', async () => {
  const out = path.join(folder, 'relay.json');
  const read = async (): Promise<RelayBench> => JSON.parse(await readFile(out, 'utf8')) as RelayBench;
  const few = ['--limit', '2', '--agreement', '2', '--latency', '5', '--out', out];
  // Through the whole command, where "bench" has options of the same names.
  expect(await run(['bench', 'relay', '--rounds', '2', '--only', 'protocols,early', ...few])).toBe(0);
  const first = await read();
  expect(first).toMatchObject({ schema: 'baton.bench.relay/4', small: { id: 'demo-small' } });
  expect(first.protocols![0]!.figures.map(({ protocol }) => protocol)).toEqual([
    'paper-serial',
    'serial',
    'keep-warm',
    'pipelined',
  ]);
  expect(first.protocols![0]).toMatchObject({ rounds: 2, figures: [{ questions: 4 }, {}, {}, {}] });
  expect(first.handBackAgreement).toBeUndefined();
  await bench('relay', ...few, '--only', 'agreement,context', '--context', '120', '--no-random');
  const second = await read();
  expect(second.protocols).toEqual(first.protocols);
  expect(second.handBackAgreement).toMatchObject({ questions: 2, probeTokens: 0 });
  expect(second.contextHandOff).toHaveLength(1);
});

it('serves the bench page and says where as JSON', async () => {
  const bin = fileURLToPath(new URL('../../bin/baton.mjs', import.meta.url));
  const child = spawn(process.execPath, [bin, 'bench', 'page', '--json', '--port', `${await freePort()}`]);
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { url } = JSON.parse(line.toString()) as { url: string };
    expect((await fetch(url)).status).toBe(200);
  } finally {
    child.kill();
  }
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

it('refuses what it cannot measure', async () => {
  await expect(bench('--model', model, '--context', '100')).rejects.toThrow('has 64 slots');
  await expect(bench('--target', 'cuda')).rejects.toThrow('"cuda" is none of');
  await expect(bench('--rounds', '0')).rejects.toThrow('a whole number of at least 1');
  const questions = path.join(folder, 'bad.jsonl');
  await writeFile(questions, '{"text": 1}\n');
  await expect(bench('relay', '--small', model, '--large', model, '--questions', questions)).rejects.toThrow(
    'bad.jsonl:1: no "question"',
  );
});
