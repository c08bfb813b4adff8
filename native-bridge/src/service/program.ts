// The program that a service runs: this Node and this package's command. A package that npx fetched lies in a cache that
// npm may sweep, so a service gets a copy in the data folder, which also works with no network.
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { folder } from '../folders.ts';
import { VERSION } from '../version.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Root of the package (or of native-bridge/ in the repository): the nearest folder upwards that holds the command. */
export function packageRoot(from = HERE): string {
  for (let at = from; path.dirname(at) !== at; at = path.dirname(at))
    if (existsSync(path.join(at, 'bin', 'baton-bridge.mjs'))) return at;
  throw new Error('the files of @baton/bridge are not complete; install it again');
}

/** The folder that npm installed this package into (it holds node_modules), or null where it runs from the sources. */
export function npmPrefix(root = packageRoot()): string | null {
  const modules = path.dirname(path.dirname(root));
  return path.basename(modules) === 'node_modules' ? path.dirname(modules) : null;
}

function inNpxCache(root = packageRoot()): boolean {
  return root.split(path.sep).includes('_npx');
}

/** The command's script at a place that stays; copies the package there if need be, unless `look` only. */
export function lastingScript(look = false): string {
  const root = packageRoot();
  const prefix = npmPrefix(root);
  if (prefix === null || !inNpxCache(root)) return path.join(root, 'bin', 'baton-bridge.mjs');
  const home = path.join(folder('data'), 'program', VERSION);
  if (!look && !existsSync(home)) {
    mkdirSync(path.dirname(home), { recursive: true });
    const scratch = mkdtempSync(`${home}-`);
    try {
      cpSync(prefix, scratch, { recursive: true, verbatimSymlinks: true });
      renameSync(scratch, home);
    } catch (error) {
      rmSync(scratch, { recursive: true, force: true });
      throw error;
    }
  }
  return path.join(home, path.relative(prefix, root), 'bin', 'baton-bridge.mjs');
}
