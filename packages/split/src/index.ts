// The face of the relay.

export { solve, solveToTrace } from './solve.ts';
export { CARRIES_ON_ALONE } from './relay/relay.ts';
export { auditTrace, recordedLarge, replayEvents, traceFromEvents } from './relay/replay.ts';
export type { SolveOptions } from './solve.ts';
export type { SolveEvent } from './events.ts';
export * from './trace.ts';
export { EndpointError, SplitError } from './split-error.ts';
export type { EndpointErrorKind, SplitErrorCode } from './split-error.ts';
export type { Policy } from './policies/policy.ts';
export { POLICY_HELP, parsePolicy } from './policies/parse.ts';
export { perplexityGate } from './policies/gate.ts';
export type { Gate } from './policies/gate.ts';
export type { Budget } from './relay/budget.ts';
export { MOST_AT_ONCE, smoothedAnswerMs, warmUpIsDue } from './relay/warm-up-rule.ts';
export type { WarmUpSituation } from './relay/warm-up-rule.ts';
export type { Prices } from './relay/prices.ts';
export { seededRandom } from './random.ts';
export { lastBoxed } from './text/boxed.ts';
export { TAGS } from './text/tags.ts';
export type { Tags } from './text/tags.ts';
export * from './endpoint/index.ts';
