// Which compiler makes a compiled model: its version and the hash of its sources, for an edited compiler must not find
// old models. A bundle has no sources beside it; whoever bundles this file puts the value in their place.

import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILER_VERSION } from '@baton/compiler';

export async function compilerIdentity(): Promise<string> {
  const sources = path.dirname(fileURLToPath(import.meta.resolve('@baton/compiler')));
  const names = await readdir(sources, { recursive: true });
  const hash = createHash('sha256');
  for (const name of names.filter((n) => n.endsWith('.ts') && !n.endsWith('.test.ts')).sort()) {
    hash.update(name).update(await readFile(path.join(sources, name)));
  }
  return `${COMPILER_VERSION} ${hash.digest('hex')}`;
}
