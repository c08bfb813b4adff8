// A Hugging Face checkpoint behind a URL that cannot be listed (any static host): looks for the files a checkpoint can
// have by name, follows the shard index, and reads by range.

import type { CheckpointSource } from '@baton/compiler';
import { RuntimeError } from '../errors.ts';
import { urlFiles } from './url-files.ts';

const INDEX = 'model.safetensors.index.json';
const NAMES: readonly string[] = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];

/** `base` is the address of the folder that holds config.json. Throws `bad-model` where there is no checkpoint. */
export async function urlCheckpoint(base: string): Promise<CheckpointSource> {
  const files = urlFiles(base);
  const sizes = new Map<string, number>();
  const look = async (name: string): Promise<void> => {
    const size = await files.size(name).catch(() => null);
    if (size !== null) sizes.set(name, size);
  };
  await Promise.all([...NAMES, INDEX, 'model.safetensors'].map(look));
  if (!sizes.has('config.json'))
    throw new RuntimeError(
      'bad-model',
      `${base} holds no config.json; give the address of a checkpoint's folder`,
    );
  if (sizes.has(INDEX)) {
    const index = JSON.parse(new TextDecoder().decode(await files.read(INDEX))) as {
      weight_map?: Record<string, string>;
    };
    await Promise.all([...new Set(Object.values(index.weight_map ?? {}))].map(look));
  }
  return {
    name: base.replace(/\/+$/, ''),
    list: async () => [...sizes.keys()],
    size: async (path) => sizes.get(path) ?? files.size(path),
    read: (path, offset, length) =>
      length === 0 ? Promise.resolve(new Uint8Array()) : files.read(path, offset, length),
  };
}
