// `baton serve` (and `baton-bridge serve`): reads the options, starts the bridge, says where it is, stops it on a signal.
import { TARGETS, type TargetId } from '@baton/runtime';
import { Command, InvalidArgumentError, Option } from 'commander';
import { logFile } from '../folders.ts';
import { lineLog, rotatingFile } from '../log.ts';
import { startBridge, type Bridge, type BridgeOptions } from '../start.ts';

interface Flags {
  model: string;
  host: string;
  port: number;
  target?: TargetId;
  allowOrigin: string[];
  pairing: boolean;
  large?: string;
  largeModel?: string;
  apiKeyEnv?: string;
  policy: string;
  maxOffload?: number;
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
    .option('--large <url|dir|name>', 'serve a relay: --model is the small model, this the large one')
    .option('--large-model <id>', 'model id at the large URL')
    .option('--api-key-env <var>', 'environment variable that holds the key for the large URL')
    .option('--policy <policy>', 'who writes what in a relay (see baton solve --help)', 'learned')
    .option('--max-offload <ratio>', 'most of an answer that the large model may write', ratio)
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
    ...relayOptions(flags),
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

function relayOptions(flags: Flags): Pick<BridgeOptions, 'relay'> {
  if (flags.large === undefined) return {};
  const apiKey = flags.apiKeyEnv === undefined ? undefined : process.env[flags.apiKeyEnv];
  if (flags.apiKeyEnv !== undefined && !apiKey)
    throw new Error(`--api-key-env ${flags.apiKeyEnv}: that environment variable is not set`);
  return {
    relay: {
      large: flags.large,
      largeModel: flags.largeModel,
      apiKey,
      policy: flags.policy,
      budget: flags.maxOffload === undefined ? {} : { maxOffload: flags.maxOffload },
    },
  };
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

function ratio(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError('a number from 0 to 1 is needed.');
  return value;
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
