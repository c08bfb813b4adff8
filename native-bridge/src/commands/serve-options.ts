// The options of `serve`, which `install` takes as well: what a service is to be started with is what a person would type.
import { TARGETS, type TargetId } from '@baton/runtime';
import { InvalidArgumentError, Option, type Command } from 'commander';

export interface ServeFlags {
  model: string;
  host: string;
  port: number;
  target?: TargetId;
  allowOrigin: string[];
  pairing: boolean;
  app: boolean | string;
  large?: string;
  largeModel?: string;
  apiKeyEnv?: string;
  envFile?: string;
  policy: string;
  maxOffload?: number;
  parallel: number;
  queue: number;
  conversations: number;
  cacheMb: number;
  dangerouslyListenOnAnyAddress?: boolean;
  logFile?: boolean | string;
  verbose?: boolean;
}

const DEFAULT_PORT = 8787;

export function addServeOptions(command: Command): Command {
  const collect = (value: string, before: string[]): string[] => [...before, value];
  return command
    .requiredOption(
      '--model <dir|name>',
      'compiled directory, checkpoint directory, or demo-small / demo-large',
    )
    .option('--host <address>', 'loopback address to listen on', '127.0.0.1')
    .option('--port <n>', 'port; 0 takes a free one', port, DEFAULT_PORT)
    .addOption(
      new Option('--target <target>', 'execution target (default: the fastest here)').choices(TARGETS),
    )
    .option('--large <url|dir|name>', 'serve a relay: --model is the small model, this the large one')
    .option('--large-model <id>', 'model id at the large URL')
    .option('--api-key-env <var>', 'environment variable that holds the key for the large URL')
    .option('--env-file <file>', 'file of NAME=value lines to read environment variables from')
    .option('--policy <policy>', 'who writes what in a relay (see baton solve --help)', 'learned')
    .option('--max-offload <ratio>', 'most of an answer that the large model may write', ratio)
    .option(
      '--allow-origin <url>',
      'web page that may use the server, as exact origin (repeatable)',
      collect,
      [],
    )
    .option('--no-pairing', 'ask for no token: every program on this machine may use the server')
    .option(
      '--app <dir>',
      'folder of the built page to serve (default: the one in the package, where there is one)',
    )
    .option('--no-app', 'serve no page, only the API')
    .option('--parallel <n>', 'requests that run at once', count, 4)
    .option('--queue <n>', 'requests that may wait before new ones get 429', whole, 64)
    .option('--conversations <n>', 'conversations whose cache is kept', count, 8)
    .option('--cache-mb <n>', 'memory for those caches', count, 1024)
    .option('--dangerously-listen-on-any-address', 'allow a --host that other machines can reach')
    .option('--log-file [file]', 'log into a rotated file instead of stderr')
    .option('--verbose', 'log every request (method, path, status, time; never its content)');
}

/** Options that were typed and say something about a large model, where there is none. */
export function withoutLarge(command: Command): string[] {
  if (command.getOptionValue('large') !== undefined) return [];
  return command.options
    .filter((option) => RELAY.has(option.attributeName()))
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map((option) => option.long!);
}

const RELAY: ReadonlySet<string> = new Set<keyof ServeFlags>([
  'largeModel',
  'apiKeyEnv',
  'policy',
  'maxOffload',
]);

/** What was typed, as arguments that mean the same anywhere: paths are made absolute by `resolve`. */
export function typedArguments(
  command: Command,
  flags: ServeFlags,
  resolve: (flag: string, value: string) => string,
): string[] {
  const values = flags as unknown as Record<string, unknown>;
  const out: string[] = [];
  for (const option of command.options) {
    const key = option.attributeName();
    const flag = option.long!;
    if (command.getOptionValueSource(key) !== 'cli' || !OWN.has(key)) continue;
    const value = values[key];
    // --app and --no-app share one key.
    if (option.negate !== (value === false)) continue;
    if (typeof value === 'boolean') out.push(flag);
    else for (const one of [value].flat()) out.push(flag, resolve(flag, String(one)));
  }
  return out;
}

const OWN: ReadonlySet<string> = new Set<keyof ServeFlags>([
  'model',
  'host',
  'port',
  'target',
  'allowOrigin',
  'pairing',
  'app',
  'large',
  'largeModel',
  'apiKeyEnv',
  'envFile',
  'policy',
  'maxOffload',
  'parallel',
  'queue',
  'conversations',
  'cacheMb',
  'dangerouslyListenOnAnyAddress',
  'verbose',
]);

export function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number is needed.');
  return Number(text);
}

export function count(text: string): number {
  const value = whole(text);
  if (value === 0) throw new InvalidArgumentError('at least 1 is needed.');
  return value;
}

function ratio(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError('a number from 0 to 1 is needed.');
  return value;
}

export function port(text: string): number {
  const value = whole(text);
  if (value > 65535) throw new InvalidArgumentError('a port is 0 to 65535.');
  return value;
}
