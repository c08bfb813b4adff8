// Prompt lookup: what it guesses, and that the text is the same with it and without.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from './backend.ts';
import { memoryFacts } from './facts.ts';
import { nodeTargets } from './node/index.ts';
import { openModel } from './open-model.ts';
import { lookUp } from './speculate.ts';
import type { TargetSet } from './targets/target-set.ts';
import type { GenerateOptions } from './text-model.ts';

test('the latest earlier occurrence of the longest ending is continued', () => {
  expect(lookUp([1, 2, 3, 4, 9, 1, 2, 3], 2)).toEqual([4, 9]);
  expect(lookUp([5, 1, 2, 7, 1, 2, 8, 1, 2], 1)).toEqual([8]);
  expect(lookUp([1, 2, 3], 4)).toEqual([]);
  expect(lookUp([], 4)).toEqual([]);
  expect(lookUp([6, 6, 6, 6], 3)).toEqual([6]);
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-speculate-'));
  await compileDirectory(
    fileURLToPath(new URL('../test/fixtures/tiny', import.meta.url)),
    path.join(folder, 'tiny'),
    { context: 192, chunk: 16 },
  );
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

/** Node's targets, counting the forward passes. */
function counted(): TargetSet & { passes: number } {
  const real = nodeTargets();
  const set = {
    ...real,
    facts: memoryFacts(),
    passes: 0,
    open: async (...args: Parameters<TargetSet['open']>): Promise<Backend> => {
      const backend = await real.open(...args);
      const create = backend.createSequence.bind(backend);
      backend.createSequence = async (capacity) => {
        const sequence = await create(capacity);
        const forward = sequence.forward.bind(sequence);
        sequence.forward = (...parts) => {
          set.passes++;
          return forward(...parts);
        };
        return sequence;
      };
      return backend;
    },
  };
  return set;
}

async function write(
  lookup: number,
  options: GenerateOptions,
): Promise<{ ids: number[]; text: string; reason: string; passes: number; state: string }> {
  const targets = counted();
  const model = await openModel(new DirectoryFiles(path.join(folder, 'tiny')), {
    targets,
    target: 'ort-cpu',
    lookup,
    selfTest: false,
  });
  const session = await model.openSession();
  await session.sync('A baker makes 24 loaves. 17 * 23 = 391. 17 * 23 = 391. A baker makes');
  const before = targets.passes;
  const ids: number[] = [];
  let text = '';
  let reason = '';
  for await (const chunk of session.generate(options)) {
    ids.push(...chunk.tokenIds);
    text += chunk.text;
    reason = chunk.finishReason ?? '';
  }
  const result = { ids, text, reason, passes: targets.passes - before, state: (await session.state()).text };
  await model.close();
  return result;
}

// The random model repeats itself when it may not end the text.
const forever = { logitBias: { 396: -Infinity } };

test.each<[string, GenerateOptions]>([
  ['greedy', { maxTokens: 100, sampling: forever }],
  ['greedy up to the end of the context', { sampling: forever }],
  ['sampled with a seed', { maxTokens: 60, sampling: { ...forever, temperature: 0.4, seed: 3 } }],
  ['with a repetition penalty', { maxTokens: 40, sampling: { ...forever, repetitionPenalty: 1.1 } }],
])('%s: the same tokens, log-probabilities aside, with fewer passes or as many', async (_name, options) => {
  const plain = await write(0, options);
  const looked = await write(8, options);
  expect(looked.ids).toEqual(plain.ids);
  expect(looked.text).toBe(plain.text);
  expect(looked.reason).toBe(plain.reason);
  expect(looked.state).toBe(plain.state);
  expect(looked.passes).toBeLessThanOrEqual(plain.passes);
});

test('repetitive text takes fewer than three quarters of the passes', async () => {
  const options = { maxTokens: 100, sampling: forever };
  expect((await write(8, options)).passes).toBeLessThan((await write(0, options)).passes * 0.75);
});

test('a stop string inside a guess ends the text and the session there', async () => {
  const { text } = await write(0, { maxTokens: 60, sampling: forever });
  const stop = text.slice(-6);
  const options = { maxTokens: 60, sampling: forever, stop: [stop] };
  expect(await write(8, options)).toMatchObject({
    text: text.slice(0, text.indexOf(stop)),
    state: (await write(0, options)).state,
  });
});
