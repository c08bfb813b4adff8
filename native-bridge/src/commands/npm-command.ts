// How npm is run: never through a shell, which on Windows would take a folder's blanks and "&" for its own.
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Program and first arguments. Throws where npm cannot be found. */
export function npmCommand(
  platform = process.platform,
  search = process.env.PATH ?? '',
): [program: string, ...args: string[]] {
  if (platform !== 'win32') return ['npm'];
  // npm.cmd is a shell's; the script that it starts lies beside it.
  const script = search
    .split(path.delimiter)
    .map((folder) => path.join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js'))
    .find((file) => existsSync(file));
  if (script === undefined) throw new Error('npm cannot be found in PATH; install Node with npm');
  return [process.execPath, script];
}
