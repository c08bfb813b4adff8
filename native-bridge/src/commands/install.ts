// `baton-bridge install`: from now on the bridge starts at log-in, with the options given here; and starts it.
import os from 'node:os';
import path from 'node:path';
import { existsSync } from 'node:fs';
import { DEMO_MODELS, resolveModel } from '@baton/runtime/node';
import { Command } from 'commander';
import { folder } from '../folders.ts';
import { untilReady } from '../service/background.ts';
import type { ServiceDefinition } from '../service/definition.ts';
import { saveInstalled } from '../service/installed.ts';
import { installService, serviceManager, whyNot } from '../service/manager.ts';
import { lastingScript } from '../service/program.ts';
import { stop } from './lifecycle.ts';
import { addServeOptions, typedArguments, type ServeFlags } from './serve-options.ts';

interface Flags extends ServeFlags {
  print?: boolean;
  json?: boolean;
}

export function installCommand(): Command {
  return addServeOptions(
    new Command('install').description(
      'start the bridge at every log-in, with the same options as serve, and start it now',
    ),
  )
    .option('--print', 'show the service file and the commands, and do nothing')
    .option('--json', 'print the result as JSON')
    .action(runInstall);
}

async function runInstall(flags: Flags, command: Command): Promise<void> {
  if (flags.logFile !== undefined) throw new Error('--log-file: a service logs into its own rotated file');
  const manager = serviceManager();
  const args = typedArguments(command, flags, absolute);
  const definition = (script: string): ServiceDefinition => ({
    command: [process.execPath, script, 'serve', '--service', ...args],
    environment: ownEnvironment(),
    logFolder: folder('state'),
  });
  if (flags.print) {
    const content = manager.content(definition(lastingScript(true)));
    const text = typeof content === 'string' ? content : Buffer.from(content).toString('utf16le').slice(1);
    const steps = [...manager.install, ...manager.start].map((step) => step.join(' '));
    if (flags.json)
      console.log(JSON.stringify({ manager: manager.name, file: manager.file, content: text, steps }));
    else console.log(`# ${manager.file}\n${text}\n# ${steps.join('\n# ')}`);
    return;
  }
  // Compiles a checkpoint now, while somebody looks on, and not at the first start of a service.
  const directory = await resolveModel(flags.model);
  const { command: line, environment } = definition(lastingScript());
  const reason = whyNot(manager);
  const installed = { command: line, environment, port: flags.port };
  if (reason === null) {
    // What answers afterwards is then the new one.
    await stop();
    installService(manager, { command: line, environment, logFolder: folder('state') });
  }
  saveInstalled({ ...installed, manager: reason === null ? manager.name : null });
  if (reason !== null)
    throw new Error(
      `not installed: ${reason}. The options are kept: "baton-bridge start" runs the bridge in the background until you log out`,
    );
  const running = await untilReady((one) => one.service, 120_000);
  if (flags.json)
    console.log(JSON.stringify({ manager: manager.name, file: manager.file, directory, ...running }));
  else console.log(`${running.url}/v1 serves ${running.model}, and will at every log-in (${manager.name})`);
}

/** A service starts in another folder: paths of the command line are read from here. */
function absolute(flag: string, value: string): string {
  if (flag === '--env-file' || flag === '--app') return path.resolve(value);
  if (flag !== '--model' && flag !== '--large') return value;
  if (/^https?:\/\//i.test(value) || DEMO_MODELS.includes(value) || !existsSync(value)) return value;
  return path.resolve(value);
}

function ownEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ['BATON_HOME', 'BATON_CACHE', 'XDG_CONFIG_HOME', 'XDG_STATE_HOME', 'XDG_CACHE_HOME']) {
    const value = process.env[name];
    if (value) kept[name] = value.startsWith('~') ? path.join(os.homedir(), value.slice(1)) : value;
  }
  return kept;
}
