// The frame of a command with sub-commands: finds the sub-command, loads only that one, and turns whatever goes wrong
// into one line on stderr and an exit code. `baton` and `baton-bridge` are both built on it.
import { Command, type CommanderError } from 'commander';

export interface CommandEntry {
  name: string;
  summary: string;
  /** Loading one loads its packages, so that `--help` stays quick and a missing optional part breaks only one command. */
  load(): Promise<Command>;
}

export interface Program {
  name: string;
  description: string;
  version: string;
  commands: readonly CommandEntry[];
}

/** Wrong usage, as most shells have it; a failed run is 1, one that Ctrl-C ended 130. */
const USAGE = 2;

/** Runs `NAME ARGV...` and gives the exit code. Never throws; prints errors as one line on stderr. */
export async function runProgram(program: Program, argv: string[]): Promise<number> {
  const complain = (line: string): void => void process.stderr.write(`${program.name}: ${line}\n`);
  guardStreams(complain);
  silenceTelemetry();
  try {
    await (await commandOf(program, argv)).parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (isCommanderError(error)) {
      // Help and --version end through an exception as well, with code 0; their text is already printed.
      if (error.exitCode === 0) return 0;
      complain(error.message.replace(/^error: /, ''));
      return USAGE;
    }
    if (error instanceof Error && error.name === 'AbortError') {
      complain(oneLine(error.message));
      return 130;
    }
    complain(oneLine(error instanceof Error ? error.message : String(error)));
    if (process.env.BATON_DEBUG && error instanceof Error) console.error(error.stack);
    return 1;
  }
}

/** By its code: a sub-command may come from a package with a copy of commander of its own. */
function isCommanderError(error: unknown): error is CommanderError {
  return error instanceof Error && String((error as Partial<CommanderError>).code).startsWith('commander.');
}

async function commandOf(program: Program, argv: readonly string[]): Promise<Command> {
  const root = new Command(program.name)
    .description(program.description)
    .version(program.version, '--version', 'print the version')
    .helpCommand('help [command]', 'help for a command')
    .showHelpAfterError(false)
    // Options belong to the command they stand behind, also where "bench" and "bench relay" have one of the same name.
    .enablePositionalOptions()
    .addHelpText('after', '\nEvery command takes --json and --help.');
  const wanted = argv.filter((word) => !word.startsWith('-'));
  const name = wanted[0] === 'help' ? wanted[1] : wanted[0];
  for (const entry of program.commands)
    root.addCommand(entry.name === name ? await load(entry) : placeholder(entry));
  if (argv.length === 0) root.action(() => root.outputHelp());
  settle(root);
  // commander itself would answer with its whole help and no word about the mistake.
  if (
    wanted[0] === 'help' &&
    name !== undefined &&
    name !== 'help' &&
    !root.commands.some((one) => one.name() === name)
  )
    root.error(`unknown command '${name}'`);
  return root;
}

async function load(entry: CommandEntry): Promise<Command> {
  const command = await entry.load();
  if (command.commands.length === 0 && !command.options.some((option) => option.long === '--json'))
    command.option('--json', 'print the result as JSON');
  return command;
}

/** Stands in the list of commands without loading anything. */
function placeholder({ name, summary }: CommandEntry): Command {
  return new Command(name).description(summary).allowUnknownOption();
}

/** Errors are thrown, not printed with an exit; commander does not inherit this to commands that are added whole. */
function settle(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  for (const child of command.commands) settle(child);
}

let guarded = false;

/**
 * `baton solve ... | head -1` is no error: stop without a stack trace when the reader has gone. What a full disk does not
 * take is one, in one line.
 */
function guardStreams(complain: (line: string) => void): void {
  // Once in a process, also where a test runs several commands in one.
  if (guarded) return;
  guarded = true;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      if (stream === process.stdout) complain(`standard output cannot be written (${error.message})`);
      process.exit(1);
    });
  }
}

/**
 * onnxruntime-node 1.30 keeps a record of every session that it creates (in ~/.cache/Microsoft on Linux, with an id of the
 * machine and the program's path) for upload to mobile.events.data.microsoft.com. It also matches the whole command line
 * with a regular expression that recurses, and dies of a prompt of 30,000 characters there. It asks for this variable when
 * it is loaded; processes that are started from here inherit it.
 */
function silenceTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY = '1';
}

function oneLine(message: string): string {
  return (
    message.replace(/\s*\n\s*/g, ' ').trim() || 'failed without a message; set BATON_DEBUG=1 for details'
  );
}
