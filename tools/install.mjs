// Installs the locked dependencies where node_modules is not what package-lock.json asks for, so that `npm test` and
// `npm start` work in a fresh clone with no other set-up. Plain JavaScript: it must load under Node 20.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './node.mjs';

/** Runs `npm ci` if node_modules does not match package-lock.json; exits the process with npm's status on failure. */
export function ensureInstalled() {
  if (isInstalled(root)) return;
  console.log('installing dependencies (npm ci) ...');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const done = spawnSync(npm, ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (done.status !== 0) {
    console.error('baton: npm ci failed; see its message above');
    process.exit(done.status ?? 1);
  }
}

/**
 * Whether npm's own list of what it installed in `folder` (node_modules/.package-lock.json, written last) holds every
 * package of `folder`'s package-lock.json in the same version. Contents, not times: `npm ci` begins by deleting
 * node_modules, and a checkout makes the lockfile newer without changing it.
 *
 * @param {string} folder
 */
export function isInstalled(folder) {
  const wanted = packagesOf(path.join(folder, 'package-lock.json'));
  const present = packagesOf(path.join(folder, 'node_modules', '.package-lock.json'));
  if (wanted === null || present === null) return false;
  return Object.entries(wanted).every(([place, want]) => {
    // The others are the workspaces themselves, which are not installed but linked to.
    if (!/(?:^|\/)node_modules\//.test(place)) return true;
    const have = present[place];
    // An optional one is left out where it is for another platform.
    if (have === undefined) return want.optional === true;
    return have.version === want.version && have.integrity === want.integrity;
  });
}

/** "packages" of a lockfile, by place; null where it cannot be read, which npm then tells about in its own words. */
function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}
