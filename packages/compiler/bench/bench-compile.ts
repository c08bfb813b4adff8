// Speed and memory of the compiler on checkpoints of random bf16 weights with the shapes of real models: `baton bench
// compile`. Each compilation is a fresh process (compile-probe.ts); where the system can hold a process on one core
// (taskset), it is held there, because the figure that counts is that of one core.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { WeightType } from '../src/index.ts';
import { SHAPES, writeRandomCheckpoint, type ShapeName } from './random-checkpoint.ts';

export interface BenchCompileOptions {
  shapes: readonly ShapeName[];
  weights: readonly WeightType[];
  /** Compilations of each kind; all are reported. */
  rounds: number;
  /** Where checkpoints and models are written for the while. Default: the system's temporary folder. */
  workFolder?: string | undefined;
  onProgress?: (line: string) => void;
}

export interface CompileRun {
  wallMs: number;
  processorMs: number;
  /** MB (10^6) of checkpoint per second of wall clock, and of processor time, which a busy machine does not stretch. */
  megabytesPerSecond: number;
  megabytesPerProcessorSecond: number;
  /** Most resident memory of the compiling process, Node itself included. */
  peakBytes: number;
  /** What the progress estimated at a quarter, half and three quarters, and how long it then took. */
  estimates: { done: number; remainingMs: number; tookMs: number }[];
}

export interface CompileFigures {
  shape: ShapeName;
  weights: WeightType;
  parameters: number;
  sourceBytes: number;
  outputBytes: number;
  shards: number;
  runs: CompileRun[];
}

export interface BenchCompile {
  schema: 'baton.bench-compile/1';
  machine: { processor: string; cores: number; memoryBytes: number; node: string; platform: string };
  /** Cores the compiling process could use; null = all of the machine, for want of taskset. */
  coresUsed: 1 | null;
  results: CompileFigures[];
}

/** Runs the benchmark; what it wrote is removed either way. Throws where a compilation fails. */
export async function benchCompile(options: BenchCompileOptions): Promise<BenchCompile> {
  const say = options.onProgress ?? (() => undefined);
  const oneCore = spawnSync('taskset', ['-c', '0', process.execPath, '-e', '']).status === 0;
  const results: CompileFigures[] = [];
  for (const shape of options.shapes) {
    const folder = await mkdtemp(path.join(options.workFolder ?? os.tmpdir(), 'baton-bench-compile-'));
    try {
      const checkpoint = path.join(folder, 'checkpoint');
      say(`writing a checkpoint of shape ${shape}`);
      const { shards } = await writeRandomCheckpoint(checkpoint, SHAPES[shape]);
      for (const weights of options.weights) {
        const runs: CompileRun[] = [];
        let sizes = { parameters: 0, sourceBytes: 0, outputBytes: 0 };
        for (let round = 1; round <= options.rounds; round++) {
          say(`compiling ${shape} to ${weights}, ${round} of ${options.rounds}`);
          const probe = await runProbe(checkpoint, path.join(folder, 'model'), weights, oneCore);
          const { wallMs, processorMs, peakBytes, estimates, ...rest } = probe;
          sizes = rest;
          runs.push({
            wallMs: Math.round(wallMs),
            processorMs: Math.round(processorMs),
            megabytesPerSecond: tenths(rest.sourceBytes / wallMs / 1000),
            megabytesPerProcessorSecond: tenths(rest.sourceBytes / processorMs / 1000),
            peakBytes,
            estimates: estimates.map(({ done, remainingMs, tookMs }) => ({
              done: Math.round(done * 1000) / 1000,
              remainingMs: Math.round(remainingMs),
              tookMs: Math.round(tookMs),
            })),
          });
        }
        results.push({ shape, weights, ...sizes, shards, runs });
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  return { schema: 'baton.bench-compile/1', machine: machine(), coresUsed: oneCore ? 1 : null, results };
}

interface Probe {
  parameters: number;
  sourceBytes: number;
  outputBytes: number;
  wallMs: number;
  processorMs: number;
  peakBytes: number;
  estimates: { done: number; remainingMs: number; tookMs: number }[];
}

async function runProbe(
  checkpoint: string,
  out: string,
  weights: WeightType,
  oneCore: boolean,
): Promise<Probe> {
  const script = path.join(import.meta.dirname, 'compile-probe.ts');
  const command = [process.execPath, script, checkpoint, out, weights];
  const [program, ...words] = oneCore ? ['taskset', '-c', '0', ...command] : command;
  const { stdout } = await promisify(execFile)(program!, words);
  return JSON.parse(stdout) as Probe;
}

function machine(): BenchCompile['machine'] {
  return {
    processor: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
  };
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
