// Two checkpoints of random weights that are large enough for prefill to take real time, with a tokenizer that exists: the
// pair for `baton bench relay`'s hand-off at a long context. What such models write means nothing; how long they take does.

import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { compileDirectory } from '@baton/compiler/node';
import { SHAPES, writeRandomCheckpoint } from '@baton/runtime/bench';
import { resolveModel } from '@baton/runtime/node';

export interface RandomPair {
  /** Compiled directories. */
  small: string;
  large: string;
  remove(): Promise<void>;
}

/** The text files of a compiled model that say how it reads and writes text. */
const TEXT_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'generation_config.json',
];

/** Writes and compiles the pair (8-bit weights), with the tokenizer of `like`. */
export async function writeRandomPair(like: string, vocabulary: number): Promise<RandomPair> {
  const tokenizer = await resolveModel(like);
  const folder = await mkdtemp(path.join(tmpdir(), 'baton-relay-bench-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const made = async (name: string, seed: number): Promise<string> => {
      const checkpoint = path.join(folder, `${name}-checkpoint`);
      await mkdir(checkpoint);
      await writeRandomCheckpoint(checkpoint, { ...SHAPES['100m'], name, vocabulary }, seed);
      for (const file of TEXT_FILES)
        await copyFile(path.join(tokenizer, file), path.join(checkpoint, file)).catch(() => undefined);
      const compiled = path.join(folder, name);
      await compileDirectory(checkpoint, compiled, { context: 2048, chunk: 64, weights: 'int8' });
      return compiled;
    };
    return { small: await made('random-small', 1), large: await made('random-large', 2), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
