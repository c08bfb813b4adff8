// `baton-bridge logs`: the end of the service's log, and what follows.
import { existsSync, openSync, readFileSync, readSync, closeSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { logFile } from '../folders.ts';
import { count } from './serve-options.ts';
import { say } from './lifecycle.ts';

export function logsCommand(): Command {
  return new Command('logs')
    .description('the log of the bridge in the background; it never holds prompts, answers or tokens')
    .option('--lines <n>', 'lines from the end', count, 50)
    .option('--follow', 'go on as it grows, until Ctrl-C')
    .option('--json', 'print JSON')
    .action(async (flags: { lines: number; follow?: boolean; json?: boolean }) => {
      const file = logFile();
      if (!existsSync(file)) throw new Error(`there is no log yet (${file})`);
      // The rotated one before it fills up what the newest lacks.
      const text = [`${file}.1`, file]
        .map((one) => (existsSync(one) ? readFileSync(one, 'utf8') : ''))
        .join('');
      const lines = text
        .split('\n')
        .filter((line) => line !== '')
        .slice(-flags.lines);
      say(flags, { file, lines }, lines.join('\n'));
      if (flags.follow) await follow(file);
    });
}

async function follow(file: string): Promise<never> {
  let { ino, size: at } = statSync(file);
  for (;;) {
    await sleep(250);
    const now = statSync(file, { throwIfNoEntry: false });
    if (!now) continue;
    // A new file after a rotation begins at its beginning.
    if (now.ino !== ino || now.size < at) [ino, at] = [now.ino, 0];
    if (now.size === at) continue;
    const bytes = Buffer.alloc(now.size - at);
    const handle = openSync(file, 'r');
    readSync(handle, bytes, 0, bytes.length, at);
    closeSync(handle);
    at = now.size;
    process.stdout.write(bytes);
  }
}
