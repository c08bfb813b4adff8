// A process that writes with a model: `node write.ts DIR TARGET,TARGET PROMPT TOKENS [TIMES]` prints, per time, the tokens,
// the last chunk and the target in use at the end, as JSON lines. For tests that start Node with limits of its own.
import { DirectoryFiles } from '@baton/compiler/node';
import type { TargetId } from '../../src/backend.ts';
import { memoryFacts } from '../../src/facts.ts';
import { nodeTargets } from '../../src/node/targets.ts';
import { openModel } from '../../src/open-model.ts';

const [directory = '', order = '', prompt = '', tokens = '8', times = '1'] = process.argv.slice(2);
const model = await openModel(new DirectoryFiles(directory), {
  targets: { ...nodeTargets(), facts: memoryFacts(), order: order.split(',') as TargetId[] },
});
const logitBias = Object.fromEntries(model.manifest.stopIds.map((id) => [id, -Infinity]));
for (let i = 0; i < Number(times); i++) {
  const ids: number[] = [];
  let last = {};
  for await (const chunk of model.generate(prompt, { maxTokens: Number(tokens), sampling: { logitBias } })) {
    ids.push(...chunk.tokenIds);
    last = chunk;
  }
  console.log(JSON.stringify({ ids, last, location: model.location }));
}
await model.close();
process.exit(0);
