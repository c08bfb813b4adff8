// The face of the relay's benchmark (Node only).

export { benchRelay } from './bench-relay.ts';
export type { BenchRelayOptions, ProtocolFigures, RelayBench } from './bench-relay.ts';
export { compareWithExhaustive, tokenEnds } from './exhaustive.ts';
export type { SpanAgreement } from './exhaustive.ts';
export { paperSerial } from './paper-serial.ts';
export { serveModel } from './model-endpoint.ts';
export type { ModelEndpoint } from './model-endpoint.ts';
