// `baton install-runtime` is the bridge's own command.
export { installRuntimeCommand } from '@baton/bridge';
