// The face of the runtime's benchmark (Node only).
export { bench } from './bench.ts';
export type { Bench, BenchOptions, ModelFigures, TargetFigures } from './bench.ts';
export { writeRandomCheckpoint } from './random-checkpoint.ts';
export { SHAPES } from './shapes.ts';
export type { Shape } from './shapes.ts';
export { serveBenchPage } from './browser/serve.ts';
export { benchPeers, summary } from './peers/index.ts';
export type { Comparison, PeersOptions } from './peers/index.ts';
export { PLACES, WIDTHS } from './peers/subjects.ts';
export type { Place, Widths } from './peers/subjects.ts';
