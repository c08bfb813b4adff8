// `baton serve` is the bridge's own command.
export { serveCommand } from '@baton/bridge';
