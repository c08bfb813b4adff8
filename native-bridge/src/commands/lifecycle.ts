// `baton-bridge start`, `stop`, `status` and `uninstall`: through the service manager where it knows the bridge, by the
// process itself otherwise.
import { rmSync } from 'node:fs';
import { Command } from 'commander';
import { folder } from '../folders.ts';
import { answers, listRunning, type Running } from '../running.ts';
import { endRunning, startBackground, untilReady } from '../service/background.ts';
import { forgetInstalled, loadInstalled, type Installed } from '../service/installed.ts';
import { removeService, runAll, serviceManager } from '../service/manager.ts';

/** A first start compiles the model: minutes for a large one. */
const START_MS = 600_000;

export function startCommand(): Command {
  return new Command('start')
    .description('start the installed bridge in the background')
    .option('--json', 'print the result as JSON')
    .action(async (flags: { json?: boolean }) => {
      const running = await start();
      say(flags, running, `${running.url}/v1 serves ${running.model} on ${running.location}`);
    });
}

/** Starts what `install` was told, if it does not run already. */
export async function start(): Promise<Running> {
  const installed = loadInstalled();
  if (installed === null)
    throw new Error('nothing is installed; say what to serve, e.g.: baton-bridge install --model demo-small');
  const running = service();
  if (running !== null) return running;
  if (installed.manager === null) return startBackground(installed, START_MS);
  runAll(serviceManager().start);
  return untilReady((one) => one.service, START_MS);
}

export function stopCommand(): Command {
  return new Command('stop')
    .description('stop the bridge that runs in the background')
    .option('--all', 'also those that were started with serve')
    .option('--json', 'print the result as JSON')
    .action(async (flags: { all?: boolean; json?: boolean }) => {
      const ended = await stop(flags.all ?? false);
      const names = ended.map((one) => one.url).join(', ');
      say(
        flags,
        { stopped: ended.map((one) => one.url) },
        names === '' ? 'nothing was running' : `stopped ${names}`,
      );
    });
}

/** Gives those that ran. */
export async function stop(all = false): Promise<Running[]> {
  const wanted = listRunning().filter((one) => all || one.service);
  const installed = loadInstalled();
  // The manager must know that the end is wanted, or it starts the bridge again.
  if (installed?.manager && wanted.some((one) => one.service)) runAll(serviceManager().stop);
  for (const one of wanted) if (listRunning().some(({ pid }) => pid === one.pid)) await endRunning(one);
  return wanted;
}

export function statusCommand(): Command {
  return new Command('status')
    .description('what runs, where, and whether it answers')
    .option('--json', 'print JSON')
    .action(async (flags: { json?: boolean }) => {
      const installed = loadInstalled();
      const running = await Promise.all(
        listRunning().map(async (one) => ({ ...one, answers: await answers(one) })),
      );
      const how = installed && (installed.manager ?? 'baton-bridge start');
      const lines = running.map(
        (one) =>
          `${one.url}/v1  ${one.model} on ${one.location}, process ${one.pid}${one.service ? '' : ', started with serve'}${one.answers ? '' : ', does not answer'}`,
      );
      if (lines.length === 0) lines.push('not running');
      lines.push(how === null ? 'not installed as a service' : `installed: started by ${how}`);
      say(flags, { installed: how, running }, lines.join('\n'));
      // As `systemctl status` has it: 3 when it does not run.
      if (!running.some((one) => one.answers)) process.exitCode = 3;
    });
}

export function uninstallCommand(): Command {
  return new Command('uninstall')
    .description('stop the bridge and take it out of the log-in')
    .option('--purge', 'also remove paired clients, logs and compiled models')
    .option('--json', 'print the result as JSON')
    .action(async (flags: { purge?: boolean; json?: boolean }) => {
      const installed = loadInstalled();
      await stop();
      if (installed?.manager) removeService(serviceManager());
      forgetInstalled();
      rmSync(`${folder('data')}/program`, { recursive: true, force: true });
      const folders = flags.purge ? [folder('config'), folder('data'), folder('state'), folder('cache')] : [];
      for (const one of folders) rmSync(one, { recursive: true, force: true });
      const had: Installed | null = installed;
      say(
        flags,
        { removed: had !== null, folders },
        `${had === null ? 'nothing was installed' : 'uninstalled'}; the program itself goes with: npm uninstall -g @baton/bridge`,
      );
    });
}

/** The bridge that runs in the background. */
export function service(): Running | null {
  return listRunning().find((one) => one.service) ?? null;
}

export function say(flags: { json?: boolean }, value: unknown, text: string): void {
  console.log(flags.json ? JSON.stringify(value, null, 2) : text);
}
