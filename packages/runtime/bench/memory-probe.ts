// Opens one target on one compiled model in this process and says how much memory that holds afterwards: `node --expose-gc
// memory-probe.ts DIR TARGET`, for memory.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectoryFiles } from '@baton/compiler/node';
import { TARGETS } from '../src/backend.ts';
import { nodeTargets } from '../src/node/targets.ts';
import { openModel } from '../src/open-model.ts';
import { familyBytes } from './process-memory.ts';

const [directory = '', name = ''] = process.argv.slice(2);
const target = TARGETS.find((id) => id === name)!;
// The native library itself is no part of the model.
await import('onnxruntime-node');
const held = async (): Promise<number> => {
  (globalThis as unknown as { gc(): void }).gc();
  await sleep(500);
  return (await familyBytes(process.pid)) ?? process.memoryUsage().rss;
};
const before = await held();
const model = await openModel(new DirectoryFiles(directory), { targets: nodeTargets(), target });
const session = await model.openSession();
await session.sync('abcdefg '.repeat(9));
for await (const _ of session.generate({ maxTokens: 3 }));
console.log(JSON.stringify({ heldBytes: (await held()) - before, description: model.backend.description }));
process.exit(0);
