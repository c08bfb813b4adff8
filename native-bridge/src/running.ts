// Which bridges of this person run: one small file per port, written when a bridge is ready and removed when it stops. A
// file whose process is gone (killed, power cut) is swept away by whoever looks.
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { alive } from '@baton/runtime/process-alive';
import { folder } from './folders.ts';

export interface Running {
  pid: number;
  url: string;
  port: number;
  model: string;
  location: string;
  version: string;
  /** Started by `start` or the service manager. */
  service: boolean;
  /** Pages that were allowed on the command line. */
  pages: readonly string[];
  /** It serves the page itself. */
  app: boolean;
}

function place(): string {
  return path.join(folder('state'), 'running');
}

/** Gives the file, for `forgetRunning`. Throws where there is no place for it. */
export function rememberRunning(running: Running): string {
  try {
    mkdirSync(place(), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new Error(
      `${place()} cannot be made (${(cause as Error).message}); set BATON_HOME to a folder that can be written`,
      { cause },
    );
  }
  const file = path.join(place(), `${running.port}.json`);
  writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(running)}\n`, { mode: 0o600 });
  renameSync(`${file}.${process.pid}`, file);
  return file;
}

export function forgetRunning(file: string): void {
  rmSync(file, { force: true });
}

/** Those whose process is alive, the service first. */
export function listRunning(): Running[] {
  const found: Running[] = [];
  for (const name of names()) {
    if (!/^\d+\.json$/.test(name)) continue;
    const file = path.join(place(), name);
    const running = read(file);
    if (running !== null && alive(running.pid)) found.push(running);
    else forgetRunning(file);
  }
  return found.sort((a, b) => Number(b.service) - Number(a.service) || a.port - b.port);
}

/** The bridge itself answers at that address, not another program that took over the process id or the port. */
export async function answers({ url }: Pick<Running, 'url'>, waitMs = 2000): Promise<boolean> {
  try {
    const reply = await fetch(`${url}/health`, { signal: AbortSignal.timeout(waitMs) });
    const { protocol } = (await reply.json()) as { protocol?: unknown };
    return typeof protocol === 'string' && protocol.startsWith('baton-bridge/');
  } catch {
    return false;
  }
}

function names(): string[] {
  try {
    return readdirSync(place());
  } catch {
    return [];
  }
}

function read(file: string): Running | null {
  try {
    const value = JSON.parse(readFileSync(file, 'utf8')) as Partial<Running>;
    return typeof value.pid === 'number' && typeof value.url === 'string' ? (value as Running) : null;
  } catch {
    return null;
  }
}
