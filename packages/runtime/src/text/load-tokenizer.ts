// Reads what turns text into tokens from a compiled model's files: tokenizer, its configuration, the chat template.

import type { Manifest, ModelFiles } from '@baton/compiler';
import { RuntimeError, messageOf } from '../errors.ts';
import { findChatTemplate, type ChatTemplate } from './chat-template.ts';
import { Tokenizer } from './tokenizer.ts';

export interface ModelText {
  /** null for a checkpoint without tokenizer.json: such a model still computes with token ids. */
  tokenizer: Tokenizer | null;
  template: ChatTemplate | null;
}

/** Throws `bad-tokenizer` where one of the JSON files does not parse, or tokenizer.json is of an unsupported kind. */
export async function loadText(
  manifest: Pick<Manifest, 'tokenizerFiles'>,
  files: Pick<ModelFiles, 'read'>,
): Promise<ModelText> {
  const read = async (name: string): Promise<string | null> => {
    const path = manifest.tokenizerFiles.find((f) => f === name || f.endsWith(`/${name}`));
    return path === undefined ? null : new TextDecoder().decode(await files.read(path));
  };
  const readJson = async (name: string): Promise<Record<string, unknown> | null> => {
    const text = await read(name);
    return text === null ? null : parse(name, text);
  };
  const json = await readJson('tokenizer.json');
  const config = (await readJson('tokenizer_config.json')) ?? {};
  const specialTokens = (await readJson('special_tokens_map.json')) ?? {};
  const template = findChatTemplate(await read('chat_template.jinja'), config, specialTokens);
  return {
    tokenizer: json === null ? null : new Tokenizer(json, config, () => template?.beginnings ?? []),
    template,
  };
}

function parse(name: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const why = text === '' ? 'it is empty' : messageOf(error);
    throw new RuntimeError('bad-tokenizer', `${name} is not JSON (${why}); copy the checkpoint's own again`, {
      cause: error,
    });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new RuntimeError(
    'bad-tokenizer',
    `${name} must hold a JSON object and has ${text.trim().slice(0, 20)}; copy the checkpoint's own again`,
  );
}
