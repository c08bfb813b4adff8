// The `baton-bridge` command.
import { COMMANDS } from './commands/index.ts';
import { runProgram } from './cli/frame.ts';
import { VERSION } from './version.ts';

/** Runs `baton-bridge ARGV...` and gives the exit code. Never throws; prints errors as one line on stderr. */
export function run(argv: string[]): Promise<number> {
  return runProgram(
    {
      name: 'baton-bridge',
      description: 'OpenAI-compatible server on this machine, on its NPU, GPU or CPU',
      version: VERSION,
      commands: COMMANDS,
    },
    argv,
  );
}
