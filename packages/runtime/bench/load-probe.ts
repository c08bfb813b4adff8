// Opens one target on one compiled model in a process of its own and says how long that took and what the process held
// at most: `node load-probe.ts DIR TARGET [THREADS]`. In one process the targets' memory could not be told apart.
import { MANIFEST_FILE, parseManifest } from '@baton/compiler';
import { DirectoryFiles } from '@baton/compiler/node';
import { TARGETS } from '../src/backend.ts';
import { nodeTargets } from '../src/node/targets.ts';

const [directory = '', name = '', threads] = process.argv.slice(2);
const target = TARGETS.find((id) => id === name);
if (!target) throw new Error(`no execution target ${name}`);
const files = new DirectoryFiles(directory);
const manifest = parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE)));
const set = nodeTargets(threads === undefined ? {} : { threads: Number(threads) });
const before = process.resourceUsage().maxRSS;
const start = performance.now();
const backend = await set.open(target, manifest, files);
const loadMs = performance.now() - start;
const sequence = await backend.createSequence();
await sequence.forward(
  Array.from({ length: backend.maxRows }, () => 1),
  0,
  'none',
);
await sequence.forward([1], backend.maxRows, 'last');
await backend.close();
const peak = process.resourceUsage().maxRSS;
console.log(JSON.stringify({ loadMs, peakBytes: peak * 1024, grownBytes: (peak - before) * 1024 }));
process.exit(0);
