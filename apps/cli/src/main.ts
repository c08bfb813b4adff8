// The `baton` command. What a command does is in ./commands; the frame around them is shared with `baton-bridge`.
import { runProgram } from '@baton/bridge/frame';
import { COMMANDS } from './command-list.ts';
import { VERSION } from './version.ts';

/** Runs `baton ARGV...` and gives the exit code. Never throws; prints errors as one line on stderr. */
export function run(argv: string[]): Promise<number> {
  return runProgram(
    {
      name: 'baton',
      description: 'a small model on your own machine, and a large one for the hard steps',
      version: VERSION,
      commands: COMMANDS,
    },
    argv,
  );
}
