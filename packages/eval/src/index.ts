// The face of the eval package: tasks, answers and statistics.

export { EvalError } from './eval-error.ts';
export { parseProblems, problemsOrThrow } from './tasks/problem.ts';
export type { ParsedProblems, Problem } from './tasks/problem.ts';
export { extractAnswer } from './answers/extract.ts';
export type { ExtractedAnswer, ExtractionRule } from './answers/extract.ts';
export { isEquivalent } from './answers/equivalence.ts';
export { choose, coverageAtK, majorityAtK, powersOfTwo } from './statistics/at-k.ts';
export type { Votes } from './statistics/at-k.ts';
export { bootstrap, mean, median, quantile, wilson } from './statistics/intervals.ts';
export type { Interval } from './statistics/intervals.ts';
export { comparePaired, gapClosed, signTest } from './statistics/paired.ts';
export type { PairedComparison } from './statistics/paired.ts';
export { runSeed, seededRandom } from './statistics/random.ts';
