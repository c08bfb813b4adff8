// Runs one arm over its problems: the loop between the list of problems and the file of traces. It knows nothing of
// models or files; both come in as functions.

import type { Trace } from '@baton/split/trace';

import type { Problem } from '../tasks/problem.ts';
import { runSeed } from '../statistics/run-seed.ts';
import { RUN_SCHEMA, runKey } from './run-record.ts';
import type { RunRecord } from './run-record.ts';

/** Answers one problem. A failing endpoint is the relay's business and ends in a trace; a throw means no trace exists. */
export type Solve = (
  problem: Problem,
  run: { sample: number; seed: number; signal: AbortSignal },
) => Promise<Trace>;

export interface ArmRunOptions {
  arm: string;
  problems: readonly Problem[];
  samples: number;
  seed: number;
  /** Keys (runKey) of runs that exist already and are skipped. */
  done: ReadonlySet<string>;
  solve: Solve;
  /** Called once per finished run; must have stored it when it resolves. */
  record: (record: RunRecord) => Promise<void>;
  concurrency?: number;
  signal?: AbortSignal;
  onProgress?: (progress: ArmProgress) => void;
}

export interface ArmProgress {
  arm: string;
  finished: number;
  total: number;
  failed: number;
}

export interface FailedRun {
  id: string;
  sample: number;
  message: string;
}

export interface ArmRunResult {
  ran: number;
  skipped: number;
  failed: FailedRun[];
  /** True when the signal, or failures in a row, ended the arm before its last problem. */
  stoppedEarly: boolean;
}

/** So many failures in a row, with nothing ever finished between them, mean that nothing will work. */
const FAILURES_IN_A_ROW = 5;

/**
 * Runs every (problem, sample) that is not done yet, sample by sample so that a run that is stopped early has seen every
 * problem before it has seen one twice. A run that throws is reported and the others go on; a run that the signal
 * interrupted is not recorded, so that it starts afresh on resume.
 */
export async function runArm(options: ArmRunOptions): Promise<ArmRunResult> {
  const { arm, problems, samples, seed, done, solve, record, onProgress } = options;
  const signal = options.signal ?? new AbortController().signal;
  const queue: { problem: Problem; sample: number }[] = [];
  for (let sample = 0; sample < samples; sample++) {
    for (const problem of problems)
      if (!done.has(runKey(problem.id, sample))) queue.push({ problem, sample });
  }
  const total = problems.length * samples;
  const result: ArmRunResult = { ran: 0, skipped: total - queue.length, failed: [], stoppedEarly: false };
  let inARow = 0;
  let next = 0;
  const report = (): void =>
    onProgress?.({ arm, finished: result.ran + result.skipped, total, failed: result.failed.length });

  async function work(): Promise<void> {
    while (next < queue.length) {
      if (signal.aborted || inARow >= FAILURES_IN_A_ROW) {
        result.stoppedEarly = true;
        return;
      }
      const { problem, sample } = queue[next++]!;
      const ownSeed = runSeed(seed, problem.id, sample);
      let trace: Trace;
      try {
        trace = await solve(problem, { sample, seed: ownSeed, signal });
      } catch (error) {
        if (signal.aborted) continue;
        inARow++;
        result.failed.push({ id: problem.id, sample, message: firstLine(error) });
        report();
        continue;
      }
      if (signal.aborted && trace.stopReason === 'aborted') continue;
      inARow = 0;
      await record({ schema: RUN_SCHEMA, arm, id: problem.id, sample, seed: ownSeed, trace });
      result.ran++;
      report();
    }
  }

  report();
  const settled = await Promise.allSettled(
    Array.from({ length: Math.max(1, options.concurrency ?? 1) }, () => work()),
  );
  const broken = settled.find((outcome) => outcome.status === 'rejected');
  if (broken) throw broken.reason;
  if (signal.aborted) result.stoppedEarly = result.ran + result.skipped + result.failed.length < total;
  return result;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}
