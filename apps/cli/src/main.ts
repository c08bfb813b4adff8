// The frame of the `baton` command: finds the sub-command, loads only that one, and turns whatever goes wrong into one
// line on stderr and an exit code. What a command does is in ./commands.
import { Command, CommanderError } from 'commander';
import { COMMANDS, type CommandEntry } from './command-list.ts';
import { VERSION } from './version.ts';

/** Wrong usage, as most shells have it; a failed run is 1, one that Ctrl-C ended 130. */
const USAGE = 2;

/** Runs `baton ARGV...` and gives the exit code. Never throws; prints errors as one line on stderr. */
export async function run(argv: string[]): Promise<number> {
  quietBrokenPipes();
  try {
    await (await program(argv)).parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) {
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

async function program(argv: readonly string[]): Promise<Command> {
  const root = new Command('baton')
    .description('a small model on your own machine, and a large one for the hard steps')
    .version(VERSION, '--version', 'print the version')
    .helpCommand('help [command]', 'help for a command')
    .showHelpAfterError(false)
    .addHelpText('after', '\nEvery command takes --json and --help.');
  const wanted = argv.filter((word) => !word.startsWith('-'));
  const name = wanted[0] === 'help' ? wanted[1] : wanted[0];
  for (const entry of COMMANDS) root.addCommand(entry.name === name ? await load(entry) : placeholder(entry));
  if (argv.length === 0) root.action(() => root.outputHelp());
  settle(root);
  return root;
}

async function load(entry: CommandEntry): Promise<Command> {
  const command = await entry.load();
  if (!command.options.some((option) => option.long === '--json'))
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

/** `baton solve ... | head -1` is no error: stop without a stack trace when the reader has gone. */
function quietBrokenPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}

function complain(line: string): void {
  process.stderr.write(`baton: ${line}\n`);
}

function oneLine(message: string): string {
  return (
    message.replace(/\s*\n\s*/g, ' ').trim() || 'failed without a message; set BATON_DEBUG=1 for details'
  );
}
