// `new URL('./file', import.meta.url)` in a source: the file goes into the build at the same place, compiled where it is
// TypeScript (a worker, a child process's entry), as it is otherwise (a kernel).
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Plugin } from 'vite';

const BESIDE = /new URL\(\s*'(\.{1,2}\/[^'$]+)',\s*import\.meta\.url,?\s*\)/g;

export function filesBesideModules(root: string): Plugin {
  return {
    name: 'bridge:files-beside-modules',
    enforce: 'pre',
    async transform(code, id) {
      const module = id.split('?')[0]!;
      if (!module.startsWith(root) || module.includes('node_modules') || !code.includes('import.meta.url'))
        return null;
      let changed = code;
      for (const [whole, name] of code.matchAll(BESIDE)) {
        const file = path.resolve(path.dirname(module), name!);
        // A browser's worker, or a folder: nothing that this program opens.
        if (module.includes(`${path.sep}browser${path.sep}`) || path.extname(name!) === '') continue;
        const place = path.relative(root, file);
        if (file.endsWith('.ts')) {
          this.emitFile({ type: 'chunk', id: file, name: place.slice(0, -'.ts'.length) });
          changed = changed.replace(whole, whole.replace(/\.ts'/, ".js'"));
        } else {
          this.emitFile({ type: 'asset', fileName: place, source: await readFile(file) });
        }
      }
      return changed === code ? null : { code: changed, map: null };
    },
  };
}
