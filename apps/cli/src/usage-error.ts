// Wrong usage that only shows once all options are known: two that contradict each other, one that does nothing here.
import { CommanderError } from 'commander';

/** Ends the command as commander's own refusals do: one line, and the exit code of wrong usage. */
export class UsageError extends CommanderError {
  constructor(message: string) {
    super(2, 'commander.usage', message);
  }
}
