// Installs the locked dependencies when they are missing or older than the lockfile, so that `npm test` and
// `npm start` work in a fresh clone with no other set-up.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { root } from './node.mjs';

/** Runs `npm ci` if node_modules does not match package-lock.json; exits the process with npm's status on failure. */
export function ensureInstalled() {
  const marker = path.join(root, 'node_modules', '.package-lock.json');
  const lock = path.join(root, 'package-lock.json');
  if (existsSync(marker) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs) return;
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
