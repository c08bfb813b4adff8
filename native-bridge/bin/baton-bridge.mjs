#!/usr/bin/env node
// Entry of the `baton-bridge` command: the sources in the repository, plain JavaScript (dist/) in the installed package.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const home = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const built = path.join(home, 'dist', 'native-bridge', 'src', 'main.js');
const source = path.join(home, 'src', 'main.ts');

if (!existsSync(source)) {
  if (Number(process.versions.node.split('.')[0]) < 22) {
    console.error(`baton-bridge: needs Node 22 or newer, this is ${process.versions.node}`);
    process.exit(1);
  }
  await start(built);
} else {
  const { keepCompiledCode, runsTypeScript, startPinned } = await import('./pinned-node.mjs');
  if (runsTypeScript) {
    await keepCompiledCode();
    await start(source);
  } else startPinned('baton-bridge', fileURLToPath(import.meta.url));
}

async function start(main) {
  const { run } = await import(pathToFileURL(main).href);
  process.exitCode = await run(process.argv.slice(2));
}
