// One arm's runs turned into its figures: accuracy with its uncertainty, what was offloaded, where time went. Every
// average says over what it is taken; shares are given both as mean and as median, since a few long spans skew the mean.

import { isEquivalent } from '../answers/equivalence.ts';
import type { ScoredRun } from '../scoring/score.ts';
import { coverageAtK, majorityAtK, powersOfTwo } from '../statistics/at-k.ts';
import type { Votes } from '../statistics/at-k.ts';
import { bootstrap, mean, median, quantile, wilson } from '../statistics/intervals.ts';
import type { Interval } from '../statistics/intervals.ts';

export interface Spread {
  mean: number;
  median: number;
  p90: number;
  max: number;
}

export interface AtK {
  k: number;
  value: number;
  interval: Interval | null;
}

export interface ArmSummary {
  arm: string;
  questions: number;
  runs: number;
  /** The largest number of samples that every question has; cov@k and maj@k go up to it. */
  samples: number;
  /** Mean over questions of the share of right samples. Wilson's interval with one sample each, bootstrap otherwise. */
  pass1: { value: number; interval: Interval | null; right: number };
  coverage: AtK[];
  majority: AtK[];
  offload: {
    /** All kept large tokens over all kept tokens. */
    pooled: number;
    pooledInterval: Interval | null;
    perRun: Spread;
    /** Ratio of each question's tokens, its samples pooled. */
    perQuestion: Spread;
    /** SplitReason's measure over characters, tags counted. */
    charCoverage: Spread;
  };
  /** `side`: tokens in no segment (keep-warm requests, probes, scores, drafts that lost). */
  tokens: { small: number; large: number; discarded: number; side: number; perRun: Spread };
  spans: { perRun: Spread; tokensPerSpan: Spread | null; runsWithout: number };
  times: {
    elapsedMs: Spread;
    firstTokenMs: Spread | null;
    handOffMs: Spread | null;
    handBackMs: Spread | null;
    /** Kept tokens of both models over elapsed time, all runs together. */
    tokensPerSecond: number;
  };
  cost: { total: number; mean: number } | null;
  /** Runs by stop reason, segments by end reason, answers by the rule that found them. */
  stopReasons: Record<string, number>;
  segmentReasons: Record<string, number>;
  answerRules: Record<string, number>;
  /** Runs that an error cut short, and their errors with how often each was met. They count as wrong or right like any other. */
  errors: { runs: number; reasons: Record<string, number> };
  /** Runs whose bookkeeping does not add up, with the first few faults. */
  faulty: { runs: number; examples: string[] };
}

/** Runs of one question, in sample order. */
type ByQuestion = readonly (readonly ScoredRun[])[];

/** Summarises at least one run; runs of several samples per question may be incomplete. */
export function summariseArm(arm: string, runs: readonly ScoredRun[]): ArmSummary {
  const questions = groupByQuestion(runs);
  const samples = Math.min(...questions.map((group) => group.length));
  const faulty = runs.filter((run) => run.faults.length > 0);
  const failures = runs.map((run) => run.failure).filter((failure) => failure !== null);
  const elapsed = runs.reduce((sum, run) => sum + run.elapsedMs, 0);
  const kept = runs.reduce((sum, run) => sum + run.smallTokens + run.largeTokens, 0);
  const costs = runs.map((run) => run.cost).filter((cost) => cost !== null);
  const costTotal = costs.reduce((sum, cost) => sum + cost, 0);
  return {
    arm,
    questions: questions.length,
    runs: runs.length,
    samples,
    pass1: passAt1(questions),
    coverage: atK(questions, samples, (group, k) =>
      coverageAtK(group.length, group.filter((run) => run.right).length, k),
    ),
    majority: atK(questions, samples, (group, k) => majorityAtK(votesOf(group), k)),
    offload: {
      pooled: pooledRatio(runs),
      pooledInterval: bootstrap(questions.length, pooledOver(questions)),
      perRun: spreadOf(runs.map((run) => run.offloadRatio))!,
      perQuestion: spreadOf(questions.map(pooledRatio))!,
      charCoverage: spreadOf(runs.map((run) => run.charCoverage))!,
    },
    tokens: {
      small: runs.reduce((sum, run) => sum + run.smallTokens, 0),
      large: runs.reduce((sum, run) => sum + run.largeTokens, 0),
      discarded: runs.reduce((sum, run) => sum + run.discardedTokens, 0),
      side: runs.reduce((sum, run) => sum + run.sideTokens, 0),
      perRun: spreadOf(runs.map((run) => run.smallTokens + run.largeTokens))!,
    },
    spans: {
      perRun: spreadOf(runs.map((run) => run.spanTokens.length))!,
      tokensPerSpan: spreadOf(runs.flatMap((run) => run.spanTokens)),
      runsWithout: runs.filter((run) => run.spanTokens.length === 0).length,
    },
    times: {
      elapsedMs: spreadOf(runs.map((run) => run.elapsedMs))!,
      firstTokenMs: spreadOf(runs.map((run) => run.firstTokenMs).filter((ms) => ms !== null)),
      handOffMs: spreadOf(runs.flatMap((run) => run.handOffMs)),
      handBackMs: spreadOf(runs.flatMap((run) => run.handBackMs)),
      tokensPerSecond: elapsed === 0 ? 0 : (kept / elapsed) * 1000,
    },
    cost: costs.length === runs.length ? { total: costTotal, mean: costTotal / runs.length } : null,
    stopReasons: count(runs.map((run) => run.stopReason)),
    segmentReasons: count(runs.flatMap((run) => run.reasons)),
    answerRules: count(runs.map((run) => run.answer?.rule ?? 'none')),
    errors: { runs: failures.length, reasons: count(failures) },
    faulty: {
      runs: faulty.length,
      examples: faulty.slice(0, 3).map((run) => `${run.id} (sample ${run.sample}): ${run.faults[0]}`),
    },
  };
}

/** Accuracy of each question (share of its samples that are right), in the order of `ids`; every id must have runs. */
export function accuracyByQuestion(runs: readonly ScoredRun[], ids: readonly string[]): number[] {
  const groups = new Map(groupByQuestion(runs).map((group) => [group[0]!.id, group]));
  return ids.map((id) => {
    const group = groups.get(id)!;
    return group.filter((run) => run.right).length / group.length;
  });
}

function groupByQuestion(runs: readonly ScoredRun[]): ScoredRun[][] {
  const groups = new Map<string, ScoredRun[]>();
  for (const run of runs) {
    const group = groups.get(run.id);
    if (group) group.push(run);
    else groups.set(run.id, [run]);
  }
  return [...groups.values()];
}

function passAt1(questions: ByQuestion): ArmSummary['pass1'] {
  const shares = questions.map((group) => group.filter((run) => run.right).length / group.length);
  const right = questions.flat().filter((run) => run.right).length;
  const single = questions.every((group) => group.length === 1);
  const value = mean(shares)!;
  const interval = single
    ? wilson(right, questions.length)
    : bootstrap(questions.length, (indices) => mean(Float64Array.from(indices, (i) => shares[i]!)));
  return { value, interval, right };
}

function atK(
  questions: ByQuestion,
  samples: number,
  ofQuestion: (group: readonly ScoredRun[], k: number) => number | null,
): AtK[] {
  return powersOfTwo(samples).map((k) => {
    const values = questions.map((group) => ofQuestion(group, k)!);
    const interval = bootstrap(questions.length, (indices) =>
      mean(Float64Array.from(indices, (i) => values[i]!)),
    );
    return { k, value: mean(values)!, interval };
  });
}

/** Right answers are one class; wrong ones are grouped by equivalence, so that 1/2 and 0.5 vote together. */
function votesOf(group: readonly ScoredRun[]): Votes {
  const classes: { answer: string; votes: number }[] = [];
  let abstained = 0;
  for (const run of group) {
    if (run.right) continue;
    if (run.answer === null) {
      abstained++;
      continue;
    }
    const text = run.answer.text;
    const known = classes.find((other) => other.answer === text || isEquivalent(other.answer, text));
    if (known) known.votes++;
    else classes.push({ answer: text, votes: 1 });
  }
  const wrong = classes.map((one) => one.votes);
  return { right: group.filter((run) => run.right).length, wrong, abstained };
}

/** The pooled ratio over resampled questions, from sums made once (2,000 resamples of thousands of runs otherwise take seconds). */
function pooledOver(questions: ByQuestion): (indices: Int32Array) => number {
  const large = questions.map((group) => group.reduce((sum, run) => sum + run.largeTokens, 0));
  const all = questions.map((group, i) => group.reduce((sum, run) => sum + run.smallTokens, large[i]!));
  return (indices) => {
    let [kept, total] = [0, 0];
    for (const i of indices) {
      kept += large[i]!;
      total += all[i]!;
    }
    return total === 0 ? 0 : kept / total;
  };
}

function pooledRatio(runs: readonly ScoredRun[]): number {
  let large = 0;
  let all = 0;
  for (const run of runs) {
    large += run.largeTokens;
    all += run.largeTokens + run.smallTokens;
  }
  return all === 0 ? 0 : large / all;
}

function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return {
    mean: mean(values)!,
    median: median(values)!,
    p90: quantile(values, 0.9)!,
    max: values.reduce((most, value) => Math.max(most, value), -Infinity),
  };
}

function count(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
