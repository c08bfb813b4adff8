// A checkpoint's tokenizer, read before anything is compiled: a model whose tokenizer is broken compiles all the same, and
// would be refused only when it is opened.
import type { CheckpointSource } from '@baton/compiler';
import { loadText } from '@baton/runtime';

/** Throws where the tokenizer's files cannot be used. A checkpoint without them knows token ids only. */
export async function checkTokenizer(source: CheckpointSource): Promise<void> {
  const tokenizerFiles = (await source.list()).filter((name) => !name.includes('/'));
  const read = async (name: string): Promise<Uint8Array> => source.read(name, 0, await source.size(name));
  try {
    await loadText({ tokenizerFiles }, { read });
  } catch (cause) {
    throw new Error(`${source.name}: ${(cause as Error).message}`, { cause });
  }
}
