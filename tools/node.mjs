// Finds the Node that the project pins (the npm package `node`), so that every tool runs under it even where the
// person's own Node is older. Plain JavaScript: it must load under Node 20.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** The pinned Node's executable, or the running one where the package is not installed. */
export function pinnedNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const candidate = path.join(root, 'node_modules', 'node', 'bin', name);
  return existsSync(candidate) ? candidate : process.execPath;
}
