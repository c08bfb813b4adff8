// The face of the large endpoints.

export { apiBase } from './address.ts';
export { OpenAICompletionsModel } from './openai-completions.ts';
export type { EndpointOptions } from './openai-completions.ts';
export { ChatContinuationModel } from './chat-continuation.ts';
export type { Dialect } from './chat-continuation.ts';
export { connect } from './connect.ts';
export { connectOnDemand } from './on-demand.ts';
export type { OnDemandOptions } from './on-demand.ts';
export { openSmallEndpoint } from './small-endpoint.ts';
export { OllamaModel } from './ollama.ts';
export type { ConnectOptions } from './connect.ts';
export { endpointPool } from './pool.ts';
export type { PoolMember, PoolOptions } from './pool.ts';
export { PRESETS, presetByName, presetByUrl } from './presets.ts';
export type { Preset } from './presets.ts';
export { probeEndpoint } from './probe.ts';
export type { EndpointProbe, ProbeOptions } from './probe.ts';
export { postEvents, requestJson } from './event-stream.ts';
