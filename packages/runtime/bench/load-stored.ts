// Opens a model from the store on disk in this process and writes a token: `node load-stored.ts URL TARGET`, for load.ts. Where
// the store has none it is fetched from URL first. The clock starts when this program's own code is loaded; the threads'
// code comes from where the command keeps compiled code.
import module from 'node:module';
import path from 'node:path';
import { TARGETS } from '../src/backend.ts';
import { cacheRoot, diskStore, nodeTargets } from '../src/node/index.ts';
import { openModel } from '../src/open-model.ts';

const [url = '', name = ''] = process.argv.slice(2);
const target = TARGETS.find((id) => id === name)!;
module.enableCompileCache(path.join(cacheRoot(), 'code'));
const store = diskStore();
const find = async (): Promise<string | undefined> => (await store.list()).find((m) => m.complete)?.name;
if ((await find()) === undefined) await store.download(url);
const used = process.cpuUsage();
const start = performance.now();
const model = await openModel(store.open((await find())!), { targets: nodeTargets(), target });
const loadMs = performance.now() - start;
const { user, system } = process.cpuUsage(used);
for await (const _ of model.generate('a', { maxTokens: 1 }));
const firstTokenMs = performance.now() - start;
console.log(JSON.stringify({ loadMs, firstTokenMs, processorMs: (user + system) / 1000 }));
await model.close();
process.exit(0);
