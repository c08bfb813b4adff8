// Runs the service as a plain background process, where there is no service manager, and ends a running bridge.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { alive } from '@baton/runtime/process-alive';
import { folder } from '../folders.ts';
import { answers, listRunning, type Running } from '../running.ts';
import type { Installed } from './installed.ts';

/** Starts it detached and waits until it answers. Rejects with its own words when it ends before that. */
export async function startBackground(installed: Installed, waitMs: number): Promise<Running> {
  const [program = '', ...args] = installed.command;
  mkdirSync(folder('state'), { recursive: true, mode: 0o700 });
  const errors = path.join(folder('state'), 'bridge.stderr');
  rmSync(errors, { force: true });
  const handle = openSync(errors, 'a', 0o600);
  const child = spawn(program, args, {
    detached: true,
    stdio: ['ignore', 'ignore', handle],
    env: { ...process.env, ...installed.environment },
    windowsHide: true,
  });
  closeSync(handle);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) =>
      resolve(lastLine(errors) || `ended with ${signal ?? `status ${code}`}`),
    );
  });
  child.unref();
  // Whichever comes first: a wait that went on would keep this command alive.
  const over = new AbortController();
  const running = await Promise.race([
    ended.then((said) => new Error(`the bridge did not start: ${said}`)),
    untilReady((one) => one.pid === child.pid, waitMs, over.signal),
  ]).finally(() => over.abort());
  if (running instanceof Error) throw running;
  return running;
}

/** Waits until a bridge that fits has answered; rejects when `signal` aborts. */
export async function untilReady(
  fits: (one: Running) => boolean,
  waitMs: number,
  signal?: AbortSignal,
): Promise<Running> {
  const until = Date.now() + waitMs;
  for (;;) {
    const found = listRunning().find(fits);
    if (found && (await answers(found))) return found;
    if (Date.now() > until)
      throw new Error(
        `the bridge has not answered within ${Math.round(waitMs / 1000)} s (a first start compiles the model); see: baton-bridge logs`,
      );
    await sleep(150, undefined, { signal });
  }
}

/** Asks it to end and waits; one that does not listen is ended by force. */
export async function endRunning(running: Running, waitMs = 15_000): Promise<void> {
  // The id may belong to another program by now: only what answers as a bridge is sent a signal.
  if (!(await answers(running)))
    throw new Error(
      `process ${running.pid} is noted as the bridge at ${running.url}, but nothing answers there; end it yourself if it is one`,
    );
  process.kill(running.pid, 'SIGTERM');
  const until = Date.now() + waitMs;
  while (alive(running.pid)) {
    if (Date.now() > until) {
      process.kill(running.pid, 'SIGKILL');
      return;
    }
    await sleep(50);
  }
}

function lastLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? '';
  } catch {
    return '';
  }
}
