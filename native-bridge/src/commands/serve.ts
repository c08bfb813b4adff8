// `baton serve` (and `baton-bridge serve`): reads the options, starts the bridge, says where it is, stops it on a signal.
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { appFolder, checkApp } from '../page/app-folder.ts';
import { logFile } from '../folders.ts';
import { lineLog, rotatingFile, type Log } from '../log.ts';
import { forgetRunning, rememberRunning } from '../running.ts';
import { startBridge, type Bridge, type BridgeOptions } from '../start.ts';
import { VERSION } from '../version.ts';
import { addServeOptions, withoutLarge, type ServeFlags } from './serve-options.ts';

interface Flags extends ServeFlags {
  service?: boolean;
  env?: string[];
  json?: boolean;
}

export function serveCommand(): Command {
  return addServeOptions(new Command('serve').description('OpenAI-compatible server on this machine'))
    .addOption(
      // What `install` and `start` put into the command line: nobody watches this process's console.
      new Option('--service').hideHelp(),
    )
    .addOption(new Option('--env <name=value...>', 'environment variable').hideHelp())
    .option('--json', 'print the address as one JSON line when ready')
    .action(runServe);
}

async function runServe(flags: Flags, command: Command): Promise<void> {
  const stopped = untilSignal();
  for (const pair of flags.env ?? []) process.env[pair.split('=', 1)[0]!] = pair.slice(pair.indexOf('=') + 1);
  if (flags.envFile !== undefined) readEnvironment(flags.envFile);
  const file = flags.logFile === true || flags.service ? logFile() : flags.logFile || null;
  const log = lineLog(
    file ? rotatingFile(file) : (line) => process.stderr.write(`${line}\n`),
    flags.verbose ?? false,
  );
  for (const option of withoutLarge(command))
    log.info(`${option} does nothing without --large: no relay is served`);
  const app = flags.app === false ? null : typeof flags.app === 'string' ? checkApp(flags.app) : appFolder();
  const stopping = new AbortController();
  const opening = startBridge({
    model: flags.model,
    host: flags.host,
    port: flags.port,
    target: flags.target,
    ...relayOptions(flags),
    allowOrigins: flags.allowOrigin,
    pairing: flags.pairing,
    app,
    parallel: flags.parallel,
    queueLimit: flags.queue,
    conversations: flags.conversations,
    cacheBytes: flags.cacheMb * 1024 * 1024,
    anyAddress: flags.dangerouslyListenOnAnyAddress ?? false,
    log,
    signal: stopping.signal,
    ...(flags.service ? {} : { onCode: (code, url) => sayCode(code, url, flags, app !== null) }),
  }).catch((error: unknown) => {
    // A service's console is nobody's: what kept it from starting belongs in its log as well.
    if (flags.service && !stopping.signal.aborted)
      log.info(`cannot start: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  });
  const bridge = await Promise.race([opening, stopped]);
  if (typeof bridge === 'string') {
    log.info(`stopping (${bridge}) before the model was open`);
    stopping.abort();
    const closed = opening.then((late) => late.close()).catch(() => undefined);
    await Promise.race([closed, sleep(CLEAN_UP_MS)]);
    // A model that is being opened would hold the process for as long as that takes.
    process.exit(0);
  }
  try {
    await serveUntil(stopped, bridge, flags, app !== null, log);
  } finally {
    // Also where it could not be said that it runs: an open server would hold a process that no signal ends any more.
    await bridge.close();
  }
}

/** Says where the bridge is, and waits for the signal that ends it. */
async function serveUntil(
  stopped: Promise<NodeJS.Signals>,
  bridge: Bridge,
  flags: Flags,
  app: boolean,
  log: Log,
): Promise<void> {
  const { url, port, model, location } = bridge;
  const record = rememberRunning({
    pid: process.pid,
    url,
    port,
    model,
    location,
    version: VERSION,
    service: flags.service ?? false,
    pages: flags.allowOrigin,
    app,
  });
  log.info(`serving ${model} on ${location} at ${url}`);
  if (flags.json)
    console.log(JSON.stringify({ url, port, model, location, pairing: bridge.pairing !== null }));
  else sayReady(bridge, flags, app);
  if (!flags.service) bridge.pairing?.open();
  const signal = await stopped;
  log.info(`stopping (${signal})`);
  forgetRunning(record);
}

/** For the files of a model that is being compiled; what is left after it has no final name, and the next start removes it. */
const CLEAN_UP_MS = 3000;

function readEnvironment(file: string): void {
  try {
    process.loadEnvFile(file);
  } catch (cause) {
    throw new Error(`--env-file ${file}: cannot be read; it holds NAME=value lines`, { cause });
  }
}

function relayOptions(flags: ServeFlags): Pick<BridgeOptions, 'relay'> {
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

function sayReady(bridge: Bridge, flags: ServeFlags, app: boolean): void {
  console.log(`${bridge.model} on ${bridge.location}: ${bridge.url}/v1`);
  if (app) console.log(`page: ${bridge.url}/`);
  if (flags.allowOrigin.length > 0) console.log(`pages: ${flags.allowOrigin.join(', ')}`);
  if (!bridge.pairing) console.log('pairing is off: every program on this machine may use it');
}

function sayCode(code: string, url: string, flags: ServeFlags, app: boolean): void {
  // stderr, so that --json leaves one line on stdout.
  const link = pairingLink(code, url, flags.allowOrigin, app);
  process.stderr.write(
    `pairing code: ${code} (works once, 10 minutes)${link === null ? '' : `\n  or open ${link}`}\n  for a program: POST ${url}/pair {"code":"${code}"} gives its token\n`,
  );
}

/** An address that pairs the page by opening it: the fragment never reaches a server. null where no page is known. */
export function pairingLink(
  code: string,
  url: string,
  pages: readonly string[],
  app: boolean,
): string | null {
  if (app) return `${url}/#pair=${code}`;
  const page = pages[0];
  return page === undefined ? null : `${page}/#bridge=${encodeURIComponent(url)}&pair=${code}`;
}

/** The first of the signals that mean "stop". */
function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}
