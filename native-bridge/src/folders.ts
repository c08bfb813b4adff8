// Where the bridge keeps its own files, by the customs of each system: configuration (paired clients), state (logs),
// cache (compiled blobs). BATON_HOME puts all of it in one folder.
import os from 'node:os';
import path from 'node:path';

type Kind = 'config' | 'state' | 'cache';

export function folder(kind: Kind): string {
  const { BATON_HOME, BATON_CACHE, LOCALAPPDATA, XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME } =
    process.env;
  if (kind === 'cache' && BATON_CACHE) return BATON_CACHE;
  if (BATON_HOME) return path.join(BATON_HOME, kind);
  const home = os.homedir();
  if (process.platform === 'win32')
    return path.join(LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'baton', kind);
  if (process.platform === 'darwin') {
    const library = { config: 'Application Support', state: 'Logs', cache: 'Caches' }[kind];
    return path.join(home, 'Library', library, 'baton');
  }
  const base = {
    config: XDG_CONFIG_HOME || path.join(home, '.config'),
    state: XDG_STATE_HOME || path.join(home, '.local', 'state'),
    cache: XDG_CACHE_HOME || path.join(home, '.cache'),
  }[kind];
  return path.join(base, 'baton');
}

export function pairedFile(): string {
  return path.join(folder('config'), 'paired.json');
}

export function logFile(): string {
  return path.join(folder('state'), 'bridge.log');
}
