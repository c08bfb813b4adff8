// The face of the relay's benchmark (Node only).

export { BENCH_PARTS, benchRelay } from './bench-relay.ts';
export type {
  BenchEndpoint,
  BenchPart,
  BenchRelayOptions,
  ContextPair,
  HandBackAgreement,
  ProtocolsAt,
  RelayBench,
} from './bench-relay.ts';
export type { ContextHandOff } from './context-hand-off.ts';
export type { EarlyHandOff } from './early-hand-off.ts';
export { PROTOCOLS } from './protocols.ts';
export type { ProtocolFigures } from './protocols.ts';
export { compareWithExhaustive, tokenEnds } from './exhaustive.ts';
export type { SpanAgreement } from './exhaustive.ts';
export { paperSerial } from './paper-serial.ts';
export { serveModel } from './model-endpoint.ts';
export type { ModelEndpoint } from './model-endpoint.ts';
