#!/usr/bin/env node
// Entry of the `baton` command.
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { keepCompiledCode, runsTypeScript, startPinned } from '../../../native-bridge/bin/pinned-node.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

if (runsTypeScript) {
  await keepCompiledCode();
  const { run } = await import(pathToFileURL(path.join(here, '..', 'src', 'main.ts')).href);
  process.exitCode = await run(process.argv.slice(2));
} else {
  startPinned('baton', fileURLToPath(import.meta.url));
}
