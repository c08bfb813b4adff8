// Starts the real `baton serve` as a process of its own and stops it again: what the suites that cross packages talk to.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { TokenStore } from '@baton/bridge';

const root = fileURLToPath(new URL('../../', import.meta.url));
const command = path.join(root, 'apps', 'cli', 'bin', 'baton.mjs');

export interface Served {
  url: string;
  port: number;
  model: string;
  process: ChildProcess;
  /** Everything it wrote on stderr so far. */
  log(): string;
  /** The newest pairing code on the console; waits for it. */
  code(): Promise<string>;
  /** What `baton-bridge tokens revoke` does in another terminal. */
  revoke(which: string): Promise<void>;
  /** Sends the signal and gives the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/**
 * Resolves when the server says that it is ready; rejects with its stderr when it ends before that. `environment` comes
 * on top of this server's own home and the cache that all suites share.
 */
export async function serve(
  args: readonly string[],
  model = 'demo-large',
  environment: NodeJS.ProcessEnv = {},
): Promise<Served> {
  const home = mkdtempSync(path.join(os.tmpdir(), 'baton-serve-'));
  const child = spawn(
    process.execPath,
    [command, 'serve', '--model', model, '--port', '0', '--json', ...args],
    {
      // Compiled models are shared by all suites; everything else is this server's own.
      env: {
        ...process.env,
        BATON_HOME: home,
        BATON_CACHE: path.join(os.tmpdir(), 'baton-test-cache'),
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let log = '';
  child.stderr.on('data', (data: Buffer) => (log += data.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const first = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve);
    void exited.then((code) => reject(new Error(`baton serve ended with ${code}: ${log}`)));
  });
  const ready = JSON.parse(first) as { url: string; port: number; model: string };
  const code = async (): Promise<string> => {
    for (;;) {
      const codes = [...log.matchAll(/pairing code: (\S+)/g)];
      if (codes.length > 0) return codes.at(-1)![1]!;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null) child.kill(signal);
    const status = await exited;
    rmSync(home, { recursive: true, force: true });
    return status;
  };
  const revoke = async (which: string): Promise<void> => {
    new TokenStore(path.join(home, 'config', 'paired.json')).revoke(which);
  };
  return { ...ready, process: child, log: () => log, code, revoke, stop };
}
