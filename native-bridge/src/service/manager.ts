// The service manager of this system, and the running of its commands.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { folder } from '../folders.ts';
import type { ServiceDefinition, ServiceManager, Step } from './definition.ts';
import { launchd } from './launchd.ts';
import { systemd } from './systemd.ts';
import { taskScheduler } from './task-scheduler.ts';

export function serviceManager(platform = process.platform): ServiceManager {
  const { USERDOMAIN, USERNAME, XDG_CONFIG_HOME } = process.env;
  const home = os.homedir();
  if (platform === 'darwin') return launchd(home, process.getuid?.() ?? 501);
  if (platform === 'win32') {
    const name = USERNAME ?? os.userInfo().username;
    return taskScheduler(USERDOMAIN ? `${USERDOMAIN}\\${name}` : name, folder('config'));
  }
  return systemd(XDG_CONFIG_HOME || path.join(home, '.config'));
}

/** Why the manager cannot be used here, in one line; null where it can. */
export function whyNot(manager: ServiceManager): string | null {
  const said = attempt(manager.check);
  return said === null ? null : `${manager.hint} (${said})`;
}

/**
 * Writes the file, makes the manager know it and starts the service, in the place of an earlier one. Where the manager refuses it,
 * that one is put back, or no file is left.
 */
export function installService(manager: ServiceManager, definition: ServiceDefinition): void {
  const earlier = existsSync(manager.file) ? readFileSync(manager.file) : null;
  mkdirSync(path.dirname(manager.file), { recursive: true });
  try {
    replace(manager, manager.content(definition));
  } catch (error) {
    if (earlier === null) removeService(manager);
    else putBack(manager, earlier, error);
    throw error;
  }
}

function putBack(manager: ServiceManager, earlier: Uint8Array, cause: unknown): void {
  try {
    replace(manager, earlier);
  } catch (error) {
    const [first, second] = [cause, error].map((one) => (one instanceof Error ? one.message : String(one)));
    throw new Error(`${first}; the earlier service cannot be put back: ${second}`, { cause: error });
  }
}

/** launchd refuses a label that it knows, and systemd leaves a unit that runs as it is: the earlier service goes first. */
function replace(manager: ServiceManager, content: string | Uint8Array): void {
  for (const step of manager.remove) attempt(step);
  writeFileSync(manager.file, content, { mode: 0o600 });
  runAll([...manager.install, ...manager.start]);
}

export function removeService(manager: ServiceManager): void {
  for (const step of manager.remove) attempt(step);
  rmSync(manager.file, { force: true });
  for (const step of manager.removed) attempt(step);
}

/** Throws with the first failing command and its own words. */
export function runAll(steps: readonly Step[]): void {
  for (const step of steps) {
    const said = attempt(step);
    if (said !== null) throw new Error(`"${step.join(' ')}" failed: ${said}`);
  }
}

/** null when it succeeded, else what it said, in one line. */
function attempt([program = '', ...args]: Step): string | null {
  const done = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000, windowsHide: true });
  if (done.error) {
    const { code } = done.error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? `${program} is not installed` : done.error.message;
  }
  if (done.status === 0) return null;
  const words = `${done.stderr}\n${done.stdout}`.trim().split('\n')[0]?.trim();
  return words || `status ${done.status ?? done.signal}`;
}
