// A whole evaluation: several arms over one task into one folder, resumable at any point, ending in a report. Models come
// in through the arms, and an arm is opened only when it has something left to run, so that a finished folder can be
// reported again without any model.

import { EvalError } from '../eval-error.ts';
import { openJsonlLog } from '../jsonl/index.ts';
import { buildReport } from '../report/build-report.ts';
import type { ArmRuns, EvalReport, EvalSettings, ReportedFailure } from '../report/build-report.ts';
import { runArm } from '../runner/run-arm.ts';
import type { ArmProgress, Solve } from '../runner/run-arm.ts';
import { parseRunRecord, runKey } from '../runner/run-record.ts';
import type { RunRecord } from '../runner/run-record.ts';
import { runFailure } from '../scoring/run-failure.ts';
import { scoreTrace } from '../scoring/score.ts';
import type { Problem } from '../tasks/problem.ts';
import { armFileName, withOutFolder } from './out-folder.ts';
import type { Task } from './load-task.ts';
import { writeReport } from './write-report.ts';

export interface Arm {
  /** The policy as the person wrote it; names the arm everywhere. */
  name: string;
  /** Called once, when there is something to run; `finished` holds the arms before this one. */
  open(finished: readonly ArmRuns[]): Promise<Solve>;
  /** The policy that its traces name, where that depends on the arms before it; null where they name none. */
  policyAfter?(finished: readonly ArmRuns[]): string | null;
}

export interface EvaluateOptions {
  task: Task;
  arms: readonly Arm[];
  settings: Omit<EvalSettings, 'task' | 'taskSha256'>;
  out: string;
  samples?: number;
  /** Only the first so many problems. */
  limit?: number;
  concurrency?: number;
  /** Run again what an endpoint or model error cut short. */
  retryErrors?: boolean;
  /** Run nothing; report what the folder holds. */
  reportOnly?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: ArmProgress) => void;
}

export interface EvaluateResult {
  report: EvalReport;
  /** Paths written, report.json first. */
  written: string[];
}

/** Runs what is missing, then reports. Everything finished is on disk before the next run starts. */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const { task, arms } = options;
  const samples = options.samples ?? 1;
  checkArms(arms, samples, options.settings.temperature);
  const problems = task.problems.slice(0, options.limit ?? task.problems.length);
  if (problems.length === 0) throw new EvalError('--limit leaves no problem to run');
  const settings = { task: task.name, taskSha256: task.sha256, ...options.settings };
  return withOutFolder(options.out, settings, async (folder) => {
    const finished: ArmRuns[] = [];
    const failures: ReportedFailure[] = [];
    for (const arm of arms) {
      const { records, failed } = await runInto(
        folder.tracePath(arm.name),
        arm,
        problems,
        samples,
        finished,
        options,
      );
      failures.push(...failed.map((one) => ({ arm: arm.name, ...one })));
      finished.push(scoreArm(arm.name, problems, records));
    }
    const report = buildReport({ settings, problems: problems.length, samples, arms: finished, failures });
    return { report, written: await writeReport(report, finished, folder.file) };
  });
}

function checkArms(arms: readonly Arm[], samples: number, temperature: number): void {
  if (arms.length === 0) throw new EvalError('no policy to evaluate; name at least one with --policy');
  const owners = new Map<string, string>();
  for (const { name } of arms) {
    const other = owners.get(armFileName(name));
    if (other !== undefined) {
      throw new EvalError(
        `policies ${JSON.stringify(other)} and ${JSON.stringify(name)} would share one trace file; keep one`,
      );
    }
    owners.set(armFileName(name), name);
  }
  if (samples > 1 && temperature === 0) {
    throw new EvalError(
      `${samples} samples at temperature 0 would all be the same; set --temperature, e.g. 0.6`,
    );
  }
}

async function runInto(
  path: string,
  arm: Arm,
  problems: readonly Problem[],
  samples: number,
  finished: readonly ArmRuns[],
  options: EvaluateOptions,
): Promise<{ records: Map<string, RunRecord>; failed: { id: string; sample: number; message: string }[] }> {
  const log = await openJsonlLog(path);
  try {
    const records = new Map<string, RunRecord>();
    for (const { value, line } of log.rows) {
      const record = parseRunRecord(value, `${path}:${line}`);
      records.set(runKey(record.id, record.sample), record);
    }
    const mixed = foreignPolicy(records, arm, finished);
    if (mixed !== null)
      return { records: new Map(), failed: [{ id: 'all', sample: 0, message: `${path} ${mixed}` }] };
    const done = new Set(
      [...records]
        .filter(([, one]) => !(options.retryErrors && runFailure(one.trace) !== null))
        .map(([key]) => key),
    );
    const missing = problems.some((problem) =>
      Array.from({ length: samples }, (_, sample) => runKey(problem.id, sample)).some(
        (key) => !done.has(key),
      ),
    );
    if (!missing || options.reportOnly || options.signal?.aborted)
      return { records: wanted(records, problems, samples), failed: [] };
    let solve: Solve;
    try {
      solve = await arm.open(finished);
    } catch (error) {
      // With nothing run at all there is nothing to report; otherwise the other arms' work must not be lost over this one.
      if (records.size === 0 && finished.every((one) => one.scored.length === 0)) throw error;
      const message = (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
      return { records: wanted(records, problems, samples), failed: [{ id: 'all', sample: 0, message }] };
    }
    const result = await runArm({
      arm: arm.name,
      problems,
      samples,
      seed: options.settings.seed,
      done,
      solve,
      record: async (record) => {
        await log.append(record);
        records.set(runKey(record.id, record.sample), record);
      },
      ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    return { records: wanted(records, problems, samples), failed: result.failed };
  } finally {
    await log.close();
  }
}

/** What is wrong with runs that were made after other arms than these: a control of one policy says nothing of another. */
function foreignPolicy(
  records: ReadonlyMap<string, RunRecord>,
  arm: Arm,
  finished: readonly ArmRuns[],
): string | null {
  const own = arm.policyAfter?.(finished) ?? null;
  // Traces of before the name told it.
  const other = [...records.values()].find(({ trace }) => trace.policy !== own && trace.policy !== arm.name);
  if (own === null || !other) return null;
  return `holds runs of ${other.trace.policy}, this call has ${own}; choose another --out for it`;
}

/** The folder may hold more (an earlier call without --limit); the report is over what this call asked for. */
function wanted(
  records: ReadonlyMap<string, RunRecord>,
  problems: readonly Problem[],
  samples: number,
): Map<string, RunRecord> {
  const kept = new Map<string, RunRecord>();
  for (const problem of problems) {
    for (let sample = 0; sample < samples; sample++) {
      const key = runKey(problem.id, sample);
      const record = records.get(key);
      if (record) kept.set(key, record);
    }
  }
  return kept;
}

function scoreArm(
  arm: string,
  problems: readonly Problem[],
  records: ReadonlyMap<string, RunRecord>,
): ArmRuns {
  const gold = new Map(problems.map((problem) => [problem.id, problem.answer]));
  const rows = [...records.values()];
  return {
    arm,
    scored: rows.map((record) => scoreTrace(record, gold.get(record.id)!)),
    traces: rows.map((record) => record.trace),
  };
}
