#!/usr/bin/env node
// Entry of the `baton` command. The sources are TypeScript, which Node runs directly from 22.18 on; under an older
// Node this file starts the Node that the project pins, hands signals on to it and ends as it ends.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import tty from 'node:tty';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major > 22 || (major === 22 && minor >= 18)) {
  const { run } = await import(pathToFileURL(path.join(here, '..', 'src', 'main.ts')).href);
  process.exitCode = await run(process.argv.slice(2));
} else {
  startPinned();
}

function startPinned() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const pinned = path.join(here, '..', '..', '..', 'node_modules', 'node', 'bin', name);
  if (!existsSync(pinned)) {
    console.error(
      `baton: needs Node 22.18 or newer, this is ${process.versions.node}; run npm install in the repository first`,
    );
    process.exit(1);
  }
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // A terminal sends Ctrl-C to the child as well; handing it on too would be a second, impatient Ctrl-C.
  const terminal = [0, 1, 2].some((fd) => tty.isatty(fd));
  process.on('SIGINT', () => terminal || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`baton: cannot start ${pinned}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) =>
    process.exit(signal ? 128 + (os.constants.signals[signal] ?? 0) : (code ?? 1)),
  );
}
