// `baton-bridge update`: a newer version through npm, at the place where this one was installed, and the service on it.
import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import { listRunning } from '../running.ts';
import { loadInstalled } from '../service/installed.ts';
import { npmPrefix } from '../service/program.ts';
import { VERSION } from '../version.ts';
import { say, start, stop } from './lifecycle.ts';
import { npmCommand } from './npm-command.ts';

const PACKAGE = '@baton/bridge';

export function updateCommand(): Command {
  return new Command('update')
    .description('install a newer version with npm and start the bridge on it')
    .argument('[version]', 'version, tag, or a package file', 'latest')
    .option('--json', 'print the result as JSON')
    .action(runUpdate);
}

async function runUpdate(wanted: string, flags: { json?: boolean }): Promise<void> {
  const prefix = npmPrefix();
  if (prefix === null) throw new Error('this bridge runs from a checkout; update that with git');
  const ran = listRunning().some((one) => one.service);
  // Its native libraries cannot be replaced on Windows while they are loaded.
  if (ran) await stop();
  try {
    npm(prefix, /\.tgz$|[\\/]/.test(wanted) ? wanted : `${PACKAGE}@${wanted}`);
  } finally {
    // npm leaves the old version where it was when it fails: the bridge goes on with that.
    if (ran && loadInstalled() !== null) await start();
  }
  const version = installedVersion(prefix);
  say(
    flags,
    { from: VERSION, to: version, restarted: ran },
    version === VERSION ? `${VERSION} is already the newest` : `${VERSION} -> ${version}`,
  );
}

function npm(prefix: string, spec: string): void {
  const [program, ...first] = npmCommand();
  const run = (args: string[]): { status: number | null; text: string } => {
    const done = spawnSync(program, [...first, ...args], { encoding: 'utf8' });
    if (done.error) throw new Error(`npm cannot be run: ${done.error.message}`);
    return { status: done.status, text: `${done.stderr}\n${done.stdout}` };
  };
  const root = run(['root', '--global']).text.trim().split('\n').at(-1)?.trim();
  const place =
    root !== undefined && root.startsWith(prefix) && root !== '' ? ['--global'] : ['--prefix', prefix];
  const { status, text } = run(['install', '--no-audit', '--no-fund', ...place, spec]);
  if (status === 0) return;
  const line =
    text.split('\n').find((one) => /npm error (?!code)/i.test(one)) ?? text.trim().split('\n')[0] ?? '';
  throw new Error(`npm could not install ${spec}: ${line.replace(/^npm error\s*/i, '').trim()}`);
}

function installedVersion(prefix: string): string {
  const done = spawnSync(
    process.execPath,
    [`${prefix}/node_modules/${PACKAGE}/bin/baton-bridge.mjs`, '--version'],
    {
      encoding: 'utf8',
    },
  );
  return done.stdout.trim();
}
