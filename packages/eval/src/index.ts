// The face of the eval package: tasks, answers, arms, statistics, reports and the latency replay. Files are ./node's.

export { EvalError } from './eval-error.ts';
export { parseProblems, problemsOrThrow } from './tasks/problem.ts';
export type { ParsedProblems, Problem } from './tasks/problem.ts';
export { extractAnswer } from './answers/extract.ts';
export type { ExtractedAnswer, ExtractionRule } from './answers/extract.ts';
export { isEquivalent } from './answers/equivalence.ts';
export {
  bootstrap,
  choose,
  comparePaired,
  coverageAtK,
  gapClosed,
  majorityAtK,
  mean,
  median,
  powersOfTwo,
  quantile,
  runSeed,
  signTest,
  wilson,
} from './statistics/index.ts';
export type { Interval, PairedComparison, Votes } from './statistics/index.ts';
export { scoreTrace } from './scoring/score.ts';
export type { ScoredRun } from './scoring/score.ts';
export { runArm } from './runner/run-arm.ts';
export type { ArmProgress, ArmRunOptions, ArmRunResult, FailedRun, Solve } from './runner/run-arm.ts';
export { RUN_SCHEMA, parseRunRecord, runKey } from './runner/run-record.ts';
export type { RunRecord } from './runner/run-record.ts';
export { REPORT_SCHEMA, buildReport } from './report/build-report.ts';
export type { ArmComparison, ArmGap, ArmRuns, EvalReport, EvalSettings } from './report/build-report.ts';
export { renderMarkdown } from './report/markdown.ts';
export { drawPlots } from './report/plots.ts';
export type { ReportPlot } from './report/plots.ts';
export { summariseArm } from './report/summarise.ts';
export type { ArmSummary, AtK, Spread } from './report/summarise.ts';
export { fitCostModel } from './replay/cost-model.ts';
export type { CostModel, ModelCost } from './replay/cost-model.ts';
export { replayLatency } from './replay/replay-latency.ts';
export type { ArmLatency, LatencyReplay } from './replay/replay-latency.ts';
export { PROTOCOLS, simulate } from './replay/simulate.ts';
export type { Protocol, SerialParameters, SimulatedTime } from './replay/simulate.ts';
export { matchedName, matchedProfile, matchedRandom } from './arms/matched-random.ts';
export type { MatchedProfile } from './arms/matched-random.ts';
