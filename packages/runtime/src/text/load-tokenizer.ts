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

/** Throws `bad-tokenizer` where tokenizer.json does not parse or is of an unsupported kind. */
export async function loadText(manifest: Manifest, files: ModelFiles): Promise<ModelText> {
  const read = async (name: string): Promise<string | null> => {
    const path = manifest.tokenizerFiles.find((f) => f === name || f.endsWith(`/${name}`));
    return path === undefined ? null : new TextDecoder().decode(await files.read(path));
  };
  const json = await read('tokenizer.json');
  const config = parse('tokenizer_config.json', (await read('tokenizer_config.json')) ?? '{}');
  return {
    tokenizer: json === null ? null : new Tokenizer(parse('tokenizer.json', json), config),
    template: findChatTemplate(await read('chat_template.jinja'), config),
  };
}

function parse(name: string, text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new RuntimeError('bad-tokenizer', `${name} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
