// A checkpoint's tokenizer, read before anything is compiled: a model whose tokenizer is broken compiles all the same, and
// would be refused only when it is opened.
import type { CheckpointSource } from '@baton/compiler';
import { Tokenizer } from '@baton/runtime';

/** Throws where tokenizer.json or tokenizer_config.json cannot be used. A checkpoint without them knows token ids only. */
export async function checkTokenizer(source: CheckpointSource): Promise<void> {
  const files = await source.list();
  const read = async (name: string): Promise<object | null> =>
    files.includes(name)
      ? parse(source.name, name, await source.read(name, 0, await source.size(name)))
      : null;
  const config = await read('tokenizer_config.json');
  const json = await read('tokenizer.json');
  if (json) void new Tokenizer(json, config ?? {});
}

function parse(place: string, name: string, bytes: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    const why = bytes.length === 0 ? 'it is empty' : (cause as Error).message;
    throw new Error(`${place}: ${name} is not JSON (${why}); copy the checkpoint's own again`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new Error(`${place}: ${name} must hold a JSON object; copy the checkpoint's own again`);
}
