// The face of the large endpoints.

export { OpenAICompletionsModel, apiBase } from './openai-completions.ts';
export type { EndpointOptions } from './openai-completions.ts';
export { ChatContinuationModel } from './chat-continuation.ts';
export type { Dialect } from './chat-continuation.ts';
export { connect } from './connect.ts';
export type { ConnectOptions } from './connect.ts';
export { endpointPool } from './pool.ts';
export type { PoolMember, PoolOptions } from './pool.ts';
export { PRESETS, presetByName, presetByUrl } from './presets.ts';
export type { Preset } from './presets.ts';
export { probeEndpoint } from './probe.ts';
export type { EndpointProbe } from './probe.ts';
