// The licences of the libraries that are part of the build, in one file beside it, as they ask for.
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Plugin } from 'vite';

export function licenses(root: string): Plugin {
  return {
    name: 'bridge:licenses',
    async generateBundle() {
      const folders = new Set<string>();
      for (const id of this.getModuleIds()) {
        const folder = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id.split('?')[0]!)?.[1];
        if (folder !== undefined && folder.startsWith(root)) folders.add(folder);
      }
      const parts = await Promise.all([...folders].sort().map(partOf));
      this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY-LICENSES.txt', source: parts.join('\n\n') });
    },
  };
}

async function partOf(folder: string): Promise<string> {
  const about = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
    license?: string;
  };
  const file = (await readdir(folder)).find((name) => /^licen[cs]e/i.test(name));
  const text = file === undefined ? '' : await readFile(path.join(folder, file), 'utf8');
  return `${about.name} ${about.version} (${about.license ?? 'see below'})\n\n${text.trim()}`;
}
