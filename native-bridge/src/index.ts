// The bridge's face.
export { startBridge, type Bridge, type BridgeOptions } from './start.ts';
export { serveCommand } from './commands/serve.ts';
export { doctorCommand } from './commands/doctor.ts';
export { installRuntimeCommand } from './commands/install-runtime.ts';
export { bridgeTargets } from './targets.ts';
export { TokenStore } from './door/token-store.ts';
