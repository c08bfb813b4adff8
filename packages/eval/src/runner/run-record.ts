// One row of an arm's trace file: which problem, sample and arm, and the whole trace. Reports are made from these rows
// alone, so a run can be stopped, resumed, re-scored and simulated later.

import type { Trace } from '@baton/split/trace';

import { EvalError } from '../eval-error.ts';
import { assertTrace } from '../scoring/assert-trace.ts';

export const RUN_SCHEMA = 'baton.eval-run/1';

export interface RunRecord {
  schema: typeof RUN_SCHEMA;
  arm: string;
  id: string;
  sample: number;
  seed: number;
  trace: Trace;
}

/** Names one run within an arm. */
export function runKey(id: string, sample: number): string {
  return `${sample}:${id}`;
}

/** Checks a row read from a file; `where` is "file:line". */
export function parseRunRecord(value: unknown, where: string): RunRecord {
  const row = value as Partial<RunRecord> | null;
  if (typeof row !== 'object' || row === null || row.schema !== RUN_SCHEMA) {
    throw new EvalError(`${where}: not a run of an evaluation (expected schema "${RUN_SCHEMA}")`);
  }
  if (typeof row.id !== 'string' || !Number.isInteger(row.sample) || typeof row.arm !== 'string') {
    throw new EvalError(`${where}: "arm", "id" and "sample" must name the run`);
  }
  assertTrace(row.trace, where);
  return row as RunRecord;
}
