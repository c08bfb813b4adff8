// Renders chat messages with a model's own Jinja template (chat_template.jinja, or the field of that name in
// tokenizer_config.json), the way transformers' apply_chat_template does. Knows no tokens.

import { Template } from '@huggingface/jinja';
import { RuntimeError, messageOf } from '../errors.ts';
import type { ChatMessage } from '../text-model.ts';

export class ChatTemplate {
  readonly #template: Template;
  readonly #variables: Record<string, unknown>;

  /** `config` gives bos_token, eos_token and the like to the template. Throws `bad-tokenizer` for a template that does not parse. */
  constructor(source: string, config: Readonly<Record<string, unknown>> = {}) {
    try {
      this.#template = new Template(source);
    } catch (error) {
      throw new RuntimeError('bad-tokenizer', `the chat template does not parse: ${messageOf(error)}`, {
        cause: error,
      });
    }
    this.#variables = {};
    for (const [name, value] of Object.entries(config)) {
      if (!name.endsWith('_token')) continue;
      this.#variables[name] =
        typeof value === 'object' && value !== null ? (value as { content?: string }).content : value;
    }
  }

  /** Text ready for `generate`. Without `addGenerationPrompt: false` it ends where the assistant begins to write. */
  render(messages: readonly ChatMessage[], options: { addGenerationPrompt?: boolean } = {}): string {
    try {
      return this.#template.render({
        ...this.#variables,
        messages: messages.map((m) => ({ ...m })),
        add_generation_prompt: options.addGenerationPrompt ?? true,
        tools: null,
      });
    } catch (error) {
      throw new RuntimeError('bad-input', `the chat template refused the messages: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

/** The template of a checkpoint's files: the .jinja file first, then tokenizer_config.json's; null where there is none. */
export function findChatTemplate(
  jinja: string | null,
  config: Readonly<Record<string, unknown>>,
): ChatTemplate | null {
  if (jinja !== null && jinja.trim() !== '') return new ChatTemplate(jinja, config);
  const field = config.chat_template;
  if (typeof field === 'string') return new ChatTemplate(field, config);
  if (Array.isArray(field)) {
    // Several named templates: "default" is the one for plain chat.
    const named = field as { name: string; template: string }[];
    const chosen = named.find((t) => t.name === 'default') ?? named[0];
    if (chosen) return new ChatTemplate(chosen.template, config);
  }
  return null;
}
