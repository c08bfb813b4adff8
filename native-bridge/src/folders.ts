// Where the bridge keeps its own files, by the customs of each system: configuration (paired clients, the service's
// options), data (a copy of the program for a service, OpenVINO's binary), state (logs, what runs), cache (compiled
// models and blobs). BATON_HOME puts all but the cache in one folder, BATON_CACHE the cache.
import os from 'node:os';
import path from 'node:path';
import { cacheRoot } from '@baton/runtime/node';

type Kind = 'config' | 'data' | 'state' | 'cache';

export function folder(kind: Kind): string {
  const { BATON_HOME, LOCALAPPDATA, XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME } = process.env;
  // One cache with the `baton` command: a model compiled by one is found by the other.
  if (kind === 'cache') return cacheRoot();
  if (BATON_HOME) return path.join(BATON_HOME, kind);
  const home = os.homedir();
  if (process.platform === 'win32')
    return path.join(LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'baton', kind);
  if (process.platform === 'darwin') {
    const library = { config: 'Application Support', data: 'Application Support', state: 'Logs' }[kind];
    return path.join(home, 'Library', library, 'baton');
  }
  const base = {
    config: XDG_CONFIG_HOME || path.join(home, '.config'),
    state: XDG_STATE_HOME || path.join(home, '.local', 'state'),
    data: XDG_DATA_HOME || path.join(home, '.local', 'share'),
  }[kind];
  return path.join(base, 'baton');
}

export function pairedFile(): string {
  return path.join(folder('config'), 'paired.json');
}

export function invitationFile(): string {
  return path.join(folder('config'), 'invitation.json');
}

/** What `install` was told, for `start` where there is no service manager. */
export function serviceFile(): string {
  return path.join(folder('config'), 'service.json');
}

export function logFile(): string {
  return path.join(folder('state'), 'bridge.log');
}
