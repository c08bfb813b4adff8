// For commands that run from the sources: Node runs TypeScript directly from 22.18 on; under an older one the command
// starts again under the Node that the project pins, hands signals on to it and ends as it ends.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import os from 'node:os';
import path from 'node:path';
import tty from 'node:tty';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
export const runsTypeScript = major > 22 || (major === 22 && minor >= 18);

/**
 * Keeps compiled code with what else Baton keeps (the cache folder): stripping types from the sources anew is half of a short
 * command's time, and of a compute thread's start. Where the folder cannot be made nothing is kept.
 */
export async function keepCompiledCode() {
  const { cacheRoot } = await import('@baton/runtime/cache-root');
  const { makeFolder } = await import('@baton/runtime/make-folder');
  const folder = path.join(cacheRoot(), 'code');
  try {
    // Node would make it itself, by the recursive mkdir that does not return in a place that takes no folders.
    makeFolder(folder);
  } catch {
    return;
  }
  module.enableCompileCache?.(folder);
}

/** Runs `script` with this process's arguments; `name` is what error messages call the command. */
export function startPinned(name, script) {
  const node = process.platform === 'win32' ? 'node.exe' : 'node';
  const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
  const pinned = path.join(root, 'node_modules', 'node', 'bin', node);
  if (!existsSync(pinned)) {
    console.error(
      `${name}: needs Node 22.18 or newer, this is ${process.versions.node}; run npm install in the repository first`,
    );
    process.exit(1);
  }
  const child = spawn(pinned, [script, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the child as well; handing it on too would be a second, impatient Ctrl-C.
  const terminal = [0, 1, 2].some((fd) => tty.isatty(fd));
  process.on('SIGINT', () => terminal || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`${name}: cannot start ${pinned}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) =>
    process.exit(signal ? 128 + (os.constants.signals[signal] ?? 0) : (code ?? 1)),
  );
}
