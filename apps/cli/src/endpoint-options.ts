// Options that say something about the server at an address, and those that switch requests to it on or off: refused where
// they would do nothing, or contradict each other.
import type { Command } from 'commander';
import { isUrl } from './model-argument.ts';
import { UsageError } from './usage-error.ts';

/** Throws UsageError where one of `options` is given and none of `models` is an address. `what` names the models' option. */
export function refuseForLocal(
  what: string,
  models: readonly string[],
  options: Readonly<Record<string, unknown>>,
): void {
  if (models.some(isUrl)) return;
  for (const [option, value] of Object.entries(options)) {
    if (value !== undefined)
      throw new UsageError(
        `${option} is for a server's address, and ${what} ${models.join(', ')} is a local model; give an address or leave ${option} out`,
      );
  }
}

/** `--keep-warm` and `--no-keep-warm`, of which commander by itself takes the last. */
export function addKeepWarm(command: Command): Command {
  const given = new Set<string>();
  for (const form of ['keep-warm', 'no-keep-warm']) {
    command.on(`option:${form}`, () => {
      given.add(form);
      if (given.size > 1) throw new UsageError('--keep-warm and --no-keep-warm exclude each other: give one');
    });
  }
  return command
    .option('--keep-warm', 'keep the endpoint’s prefix cache warm (default: only where input is not billed)')
    .option('--no-keep-warm', 'send no keep-warm requests');
}
