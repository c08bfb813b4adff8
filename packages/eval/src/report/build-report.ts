// The whole report as data: settings, one summary per arm, paired comparisons, the gap closed, latency under other
// protocols. report.json is this object; the Markdown and the plots are drawn from it and from the scored runs.

import type { Trace } from '@baton/split/trace';

import { replayLatency } from '../replay/replay-latency.ts';
import type { LatencyReplay } from '../replay/replay-latency.ts';
import type { ScoredRun } from '../scoring/score.ts';
import type { Interval } from '../statistics/intervals.ts';
import { comparePaired, gapClosed } from '../statistics/paired.ts';
import type { PairedComparison } from '../statistics/paired.ts';
import { accuracyByQuestion, summariseArm } from './summarise.ts';
import type { ArmSummary } from './summarise.ts';

export const REPORT_SCHEMA = 'baton.eval-report/1';

/** What must be the same for two runs to belong to one evaluation. */
export interface EvalSettings {
  task: string;
  /** SHA-256 of the task's problems, hexadecimal. */
  taskSha256: string;
  small: string | null;
  large: string | null;
  temperature: number;
  maxTokens: number | null;
  /** Highest offload ratio of one answer; null for no limit. */
  maxOffload: number | null;
  topP: number | null;
  /** Of the large model, per million tokens, as the person gave them; null where no prices are configured. */
  prices: string | null;
  seed: number;
}

export interface ReportedFailure {
  arm: string;
  id: string;
  sample: number;
  message: string;
}

export interface ArmGap {
  arm: string;
  /** Questions that the arm, small and large all have. */
  questions: number;
  /** (arm - small) / (large - small); null where large is not better. */
  value: number | null;
  interval: Interval | null;
  /** False where the 95 % interval of large - small reaches 0: the share of a gap that may not exist says nothing. */
  resolved: boolean;
}

export interface ArmComparison extends PairedComparison {
  from: string;
  to: string;
}

export interface EvalReport {
  schema: typeof REPORT_SCHEMA;
  settings: EvalSettings;
  problems: number;
  samples: number;
  /** False while runs are missing: the arms then cover only part of the problems. */
  complete: boolean;
  arms: ArmSummary[];
  /** Every pair of arms, over the questions that both have. */
  comparisons: ArmComparison[];
  gapClosed: ArmGap[];
  latency: LatencyReplay | null;
  failures: ReportedFailure[];
}

export interface ArmRuns {
  arm: string;
  scored: readonly ScoredRun[];
  traces: readonly Trace[];
}

/** Builds the report. Arms without runs are left out of the summaries (and make the report incomplete). */
export function buildReport(input: {
  settings: EvalSettings;
  problems: number;
  samples: number;
  arms: readonly ArmRuns[];
  failures: readonly ReportedFailure[];
}): EvalReport {
  const arms = input.arms.filter((arm) => arm.scored.length > 0);
  return {
    schema: REPORT_SCHEMA,
    settings: input.settings,
    problems: input.problems,
    samples: input.samples,
    complete: input.arms.every((arm) => arm.scored.length === input.problems * input.samples),
    arms: arms.map((arm) => summariseArm(arm.arm, arm.scored)),
    comparisons: arms.flatMap((from, i) => arms.slice(i + 1).map((to) => compare(from, to))),
    gapClosed: gaps(arms),
    latency: replayLatency(arms),
    failures: [...input.failures],
  };
}

function compare(from: ArmRuns, to: ArmRuns): ArmComparison {
  const ids = sharedIds([from, to]);
  const [a, b] = [accuracyByQuestion(from.scored, ids), accuracyByQuestion(to.scored, ids)];
  return { from: from.arm, to: to.arm, ...comparePaired(a, b) };
}

function gaps(arms: readonly ArmRuns[]): ArmGap[] {
  const small = arms.find((arm) => arm.arm === 'small');
  const large = arms.find((arm) => arm.arm === 'large');
  if (!small || !large) return [];
  return arms
    .filter((arm) => arm !== small && arm !== large)
    .map((arm) => {
      const ids = sharedIds([small, large, arm]);
      const [s, l, a] = [small, large, arm].map((one) => accuracyByQuestion(one.scored, ids)) as [
        number[],
        number[],
        number[],
      ];
      const closed = gapClosed(s, l, a);
      return {
        arm: arm.arm,
        questions: ids.length,
        value: closed?.value ?? null,
        interval: closed?.interval ?? null,
        resolved: (comparePaired(s, l).interval?.low ?? 0) > 0,
      };
    });
}

function sharedIds(arms: readonly ArmRuns[]): string[] {
  const [first, ...rest] = arms.map((arm) => new Set(arm.scored.map((run) => run.id)));
  return [...first!].filter((id) => rest.every((ids) => ids.has(id)));
}
