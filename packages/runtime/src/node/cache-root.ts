// Where what may be deleted at any time is kept. Loads nothing: the commands ask before they load anything else.
import os from 'node:os';
import path from 'node:path';

/** BATON_CACHE, `cache` in BATON_HOME, or the cache folder of this system's customs (~/.cache/baton on Linux). */
export function cacheRoot(): string {
  const { BATON_CACHE, BATON_HOME, LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  if (BATON_CACHE) return BATON_CACHE;
  if (BATON_HOME) return path.join(BATON_HOME, 'cache');
  const home = os.homedir();
  if (process.platform === 'win32')
    return path.join(LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'baton', 'cache');
  if (process.platform === 'darwin') return path.join(home, 'Library', 'Caches', 'baton');
  return path.join(XDG_CACHE_HOME || path.join(home, '.cache'), 'baton');
}
