#!/usr/bin/env node
// Entry of the `baton` command. The sources are TypeScript, which Node runs directly from 22.18 on; under an older
// Node this file starts the Node that the project pins.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '..', 'src', 'main.ts');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major > 22 || (major === 22 && minor >= 18)) {
  const { run } = await import(main);
  process.exitCode = await run(process.argv.slice(2));
} else {
  const pinned = path.join(here, '..', '..', '..', 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (!existsSync(pinned)) {
    console.error(`baton: needs Node 22.18 or newer, this is ${process.versions.node}; run npm install in the repository first`);
    process.exit(1);
  }
  const child = spawnSync(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(child.status ?? 1);
}
