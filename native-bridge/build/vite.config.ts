// Builds the bridge for people who install it: the workspace's packages and the libraries they use as plain JavaScript,
// one file per source file in the same tree, so that whatever a file finds beside itself (a worker, a kernel, a model) it
// finds in the package as well. Only the native runtimes stay real dependencies.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { compilerIdentity } from './compiler-identity.ts';
import { filesBesideModules } from './files-beside-modules.ts';
import { licenses } from './licenses.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = createRequire(import.meta.url)('../package.json') as Record<string, object>;
const native = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });

export default defineConfig({
  root,
  publicDir: false,
  plugins: [filesBesideModules(root), compilerIdentity(), licenses(root)],
  ssr: { noExternal: true, external: native },
  build: {
    ssr: path.join(root, 'native-bridge', 'src', 'main.ts'),
    outDir: path.join(root, 'native-bridge', 'dist'),
    emptyOutDir: true,
    ssrEmitAssets: true,
    target: 'node22',
    minify: false,
    rolldownOptions: {
      output: {
        format: 'es',
        preserveModules: true,
        preserveModulesRoot: root,
        // npm leaves folders of this name out of a package.
        entryFileNames: ({ name }) => `${name.replaceAll('node_modules', 'libraries')}.js`,
      },
    },
  },
});
