// What `npm pack` (and `npm publish`) runs first: builds everything that the package holds into dist/: the program, the
// page that it can serve, the demo models, the licences. Plain JavaScript: npm may start it under an older Node.
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { pinnedNode, root } from '../../tools/node.mjs';

const dist = path.join(root, 'native-bridge', 'dist');

vite('--config', path.join('native-bridge', 'build', 'vite.config.ts'));
vite('--outDir', path.join(dist, 'app'));
for (const model of ['demo-small', 'demo-large'])
  cpSync(path.join(root, 'models', model), path.join(dist, 'models', model), { recursive: true });
cpSync(path.join(root, 'LICENSE'), path.join(dist, 'LICENSE'));

function vite(...args) {
  const script = path.join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  const done = spawnSync(pinnedNode(), [script, 'build', '--logLevel', 'warn', ...args], {
    cwd: root,
    // stdout is npm's own: it prints the name of the archive there.
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if (done.status !== 0) {
    console.error(`baton: the package could not be built (vite build ${args.join(' ')})`);
    process.exit(1);
  }
}
