// `baton serve` (and `baton-bridge serve`): reads the options, starts the bridge, says where it is, stops it on a signal.
import { TARGETS, type TargetId } from '@baton/runtime';
import { Command, InvalidArgumentError, Option } from 'commander';
import { logFile } from '../folders.ts';
import { lineLog, rotatingFile } from '../log.ts';
import { startBridge, type Bridge } from '../start.ts';

interface Flags {
  model: string;
  host: string;
  port: number;
  target?: TargetId;
  allowOrigin: string[];
  pairing: boolean;
  parallel: number;
  queue: number;
  conversations: number;
  cacheMb: number;
  dangerouslyListenOnAnyAddress?: boolean;
  logFile?: boolean | string;
  verbose?: boolean;
  json?: boolean;
}

export function serveCommand(): Command {
  const collect = (value: string, before: string[]): string[] => [...before, value];
  return new Command('serve')
    .description('OpenAI-compatible server on this machine')
    .requiredOption(
      '--model <dir|name>',
      'compiled directory, checkpoint directory, or demo-small / demo-large',
    )
    .option('--host <address>', 'loopback address to listen on', '127.0.0.1')
    .option('--port <n>', 'port; 0 takes a free one', port, 8787)
    .addOption(
      new Option('--target <target>', 'execution target (default: the fastest here)').choices(TARGETS),
    )
    .option(
      '--allow-origin <url>',
      'web page that may use the server, as exact origin (repeatable)',
      collect,
      [],
    )
    .option('--no-pairing', 'ask for no token: every program on this machine may use the server')
    .option('--parallel <n>', 'requests that run at once', count, 4)
    .option('--queue <n>', 'requests that may wait before new ones get 429', whole, 64)
    .option('--conversations <n>', 'conversations whose cache is kept', count, 8)
    .option('--cache-mb <n>', 'memory for those caches', count, 1024)
    .option('--dangerously-listen-on-any-address', 'allow a --host that other machines can reach')
    .option('--log-file [file]', 'log into a rotated file instead of stderr')
    .option('--verbose', 'log every request (method, path, status, time; never its content)')
    .option('--json', 'print the address as one JSON line when ready')
    .action(runServe);
}

async function runServe(flags: Flags): Promise<void> {
  const stopped = untilSignal();
  const file = flags.logFile === true ? logFile() : flags.logFile || null;
  const log = lineLog(
    file ? rotatingFile(file) : (line) => process.stderr.write(`${line}\n`),
    flags.verbose ?? false,
  );
  const bridge = await startBridge({
    model: flags.model,
    host: flags.host,
    port: flags.port,
    target: flags.target,
    allowOrigins: flags.allowOrigin,
    pairing: flags.pairing,
    parallel: flags.parallel,
    queueLimit: flags.queue,
    conversations: flags.conversations,
    cacheBytes: flags.cacheMb * 1024 * 1024,
    anyAddress: flags.dangerouslyListenOnAnyAddress ?? false,
    log,
    onCode: (code, url) => sayCode(code, url, flags),
  });
  if (flags.json) {
    const { url, port, model, location } = bridge;
    console.log(JSON.stringify({ url, port, model, location, pairing: bridge.pairing !== null }));
  } else {
    sayReady(bridge, flags);
  }
  bridge.pairing?.open();
  const signal = await stopped;
  log.info(`stopping (${signal})`);
  await bridge.close();
}

function sayReady(bridge: Bridge, flags: Flags): void {
  console.log(`${bridge.model} on ${bridge.location}: ${bridge.url}/v1`);
  if (flags.allowOrigin.length > 0) console.log(`pages: ${flags.allowOrigin.join(', ')}`);
  if (!bridge.pairing) console.log('pairing is off: every program on this machine may use it');
}

function sayCode(code: string, url: string, flags: Flags): void {
  // stderr, so that --json leaves one line on stdout.
  const page = flags.allowOrigin[0];
  const link = page ? `\n  or open ${page}/#bridge=${encodeURIComponent(url)}&pair=${code}` : '';
  process.stderr.write(
    `pairing code: ${code} (works once, 10 minutes)${link}\n  for a program: POST ${url}/pair {"code":"${code}"} gives its token\n`,
  );
}

/** The first of the signals that mean "stop". */
function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is needed.');
  return Number(text);
}

function count(text: string): number {
  const value = whole(text);
  if (value === 0) throw new InvalidArgumentError('at least 1 is needed.');
  return value;
}

function port(text: string): number {
  const value = whole(text);
  if (value > 65535) throw new InvalidArgumentError('a port is 0 to 65535.');
  return value;
}
