// What `install` was told: kept in one file, so that `start` works where there is no service manager and `update` knows
// what to start again.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { serviceFile } from '../folders.ts';

export interface Installed {
  /** Program and arguments of the service. */
  command: readonly string[];
  environment: Readonly<Record<string, string>>;
  /** The service manager that knows it; null where `start` runs it in the background itself. */
  manager: string | null;
  port: number;
}

export function saveInstalled(installed: Installed): void {
  const file = serviceFile();
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const text = JSON.stringify({ schema: 'baton.service/1', ...installed }, null, 2);
  writeFileSync(`${file}.${process.pid}`, `${text}\n`, { mode: 0o600 });
  renameSync(`${file}.${process.pid}`, file);
}

/** null where nothing is installed. Throws where the file cannot be understood. */
export function loadInstalled(): Installed | null {
  let text: string;
  try {
    text = readFileSync(serviceFile(), 'utf8');
  } catch {
    return null;
  }
  try {
    const value = JSON.parse(text) as Partial<Installed>;
    if (Array.isArray(value.command) && value.command.every((w) => typeof w === 'string'))
      return { manager: null, environment: {}, port: 0, ...value } as Installed;
  } catch {
    // Said below, as for a file of the wrong shape.
  }
  throw new Error(`${serviceFile()} cannot be understood; install again`);
}

export function forgetInstalled(): void {
  rmSync(serviceFile(), { force: true });
}
