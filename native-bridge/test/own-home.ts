// `baton-bridge` as a person runs it, as a process of its own whose files all lie in a folder that goes with the test.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../bin/baton-bridge.mjs', import.meta.url));

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

export class OwnHome {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'baton-home-'));
  readonly environment: NodeJS.ProcessEnv = {
    ...process.env,
    BATON_HOME: path.join(this.folder, 'baton'),
    // Compiled models are shared by all suites.
    BATON_CACHE: path.join(os.tmpdir(), 'baton-test-cache'),
    XDG_CONFIG_HOME: path.join(this.folder, 'config'),
    HOME: this.folder,
  };
  readonly #running = new Set<ChildProcess>();

  constructor() {
    mkdirSync(path.join(this.folder, 'config'));
  }

  /** Starts `baton-bridge ARGS`; `ended` resolves at its end. */
  start(...args: string[]): { process: ChildProcess; ended: Promise<Ran> } {
    const child = spawn(process.execPath, [command, ...args], {
      cwd: this.folder,
      env: this.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    const ran: Ran = { status: null, stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => (ran.stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (ran.stderr += data.toString()));
    const ended = new Promise<Ran>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status) => {
        this.#running.delete(child);
        resolve({ ...ran, status });
      });
    });
    return { process: child, ended };
  }

  run(...args: string[]): Promise<Ran> {
    return this.start(...args).ended;
  }

  remove(): void {
    for (const child of this.#running) child.kill('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
