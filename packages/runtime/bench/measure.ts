// Times prefill and decode of several opened backends, one after the other in every round, so that what else the machine
// does hits all of them alike.
import type { Backend, Sequence } from '../src/backend.ts';
import { WasmSimdBackend } from '../src/targets/wasm-simd/backend.ts';
import type { Timing } from './statistics.ts';
import { timing } from './statistics.ts';

export interface Subject {
  name: string;
  backend: Backend;
}

export interface Speeds {
  /** Milliseconds per prompt token, over whole chunks. */
  prefill: Timing;
  /** Tokens of context -> milliseconds per decoded token. */
  decode: Record<number, Timing>;
  /** Milliseconds to read the same weights once with the same threads and compute nothing (wasm-simd only). */
  read?: Timing;
}

export interface MeasureOptions {
  contexts: readonly number[];
  rounds: number;
  /** Decode steps per round and context. */
  steps?: number;
  signal?: AbortSignal | undefined;
}

/** Tokens that are in every vocabulary and differ from one another for a while. */
const tokenAt = (i: number, vocabulary: number): number => (i * 37 + 5) % vocabulary;

export async function measure(
  subjects: readonly Subject[],
  options: MeasureOptions,
): Promise<Map<string, Speeds>> {
  const { contexts, rounds, steps = 6, signal } = options;
  const most = Math.max(...contexts);
  const runs = [];
  for (const { name, backend } of subjects) {
    const length = Math.max(most + steps, backend.maxRows);
    const sequence = await backend.createSequence(length);
    const run = {
      name,
      backend,
      sequence,
      prefill: [] as number[],
      read: [] as number[],
      decode: new Map<number, number[]>(),
    };
    await fill(run.backend, sequence, length, run.prefill);
    // Engines compile a hot kernel a second time after a while; the first figures would be of the slower code.
    await decode(run.backend, sequence, most, steps, []);
    runs.push(run);
  }
  for (let round = 0; round < rounds; round++) {
    for (const run of runs) {
      signal?.throwIfAborted();
      if (round % 4 === 0)
        await fill(
          run.backend,
          run.sequence,
          Math.max(run.backend.maxRows, Math.min(most, 4 * run.backend.maxRows)),
          run.prefill,
        );
      for (const context of contexts) {
        const samples = run.decode.get(context) ?? [];
        run.decode.set(context, samples);
        await decode(run.backend, run.sequence, context, steps, samples);
      }
      if (run.backend instanceof WasmSimdBackend) {
        for (let i = 0; i < steps; i++)
          run.read.push(await timed(() => (run.backend as WasmSimdBackend).readWeights()));
      }
    }
  }
  for (const { sequence } of runs) await sequence.close();
  return new Map(
    runs.map(({ name, prefill, read, decode: byContext }) => [
      name,
      {
        prefill: timing(prefill),
        decode: Object.fromEntries([...byContext].map(([context, samples]) => [context, timing(samples)])),
        ...(read.length > 0 ? { read: timing(read) } : {}),
      },
    ]),
  );
}

async function fill(backend: Backend, sequence: Sequence, length: number, samples: number[]): Promise<void> {
  const { maxRows, vocabSize } = backend;
  for (let at = 0; at < length; at += maxRows) {
    const rows = Math.min(maxRows, length - at);
    const tokens = Array.from({ length: rows }, (_, i) => tokenAt(at + i, vocabSize));
    const ms = await timed(() => sequence.forward(tokens, at, 'none'));
    if (rows === maxRows) samples.push(ms / rows);
  }
}

async function decode(
  backend: Backend,
  sequence: Sequence,
  context: number,
  steps: number,
  samples: number[],
): Promise<void> {
  for (let i = 0; i < steps; i++) {
    const token = tokenAt(context + i, backend.vocabSize);
    samples.push(await timed(() => sequence.forward([token], context + i, 'last')));
  }
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
