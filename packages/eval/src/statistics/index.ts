// The statistics on their own, without the report machinery: what other packages need of them.

export { choose, coverageAtK, majorityAtK, powersOfTwo } from './at-k.ts';
export type { Votes } from './at-k.ts';
export { bootstrap, mean, median, quantile, wilson } from './intervals.ts';
export type { Interval } from './intervals.ts';
export { comparePaired, gapClosed, signTest } from './paired.ts';
export type { PairedComparison } from './paired.ts';
export { runSeed } from './run-seed.ts';
