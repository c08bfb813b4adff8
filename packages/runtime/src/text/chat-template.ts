// Renders chat messages with a model's own Jinja template (chat_template.jinja, or the field of that name in
// tokenizer_config.json), the way transformers' apply_chat_template does. Knows no tokens.

import { RuntimeError, messageOf } from '../errors.ts';
import type { ChatMessage, RenderOptions } from '../text-model.ts';
import { JinjaTemplate } from './jinja-template.ts';
import { templateVariables } from './template-variables.ts';

/** Characters: one more than the marks that Markdown begins its blocks with. */
const LEAST_MARK = 4;

export class ChatTemplate {
  readonly #source: () => string;
  readonly #file: string;
  readonly #variables: Readonly<Record<string, unknown>>;
  #template: JinjaTemplate | null = null;
  #beginnings: readonly string[] | null = null;

  /**
   * `source` may be a function that throws where there is no usable text: a model can be used without its template. `variables` are given
   * to the template besides the messages; `file` is where it is from, for errors.
   */
  constructor(
    source: string | (() => string),
    variables: Readonly<Record<string, unknown>> = {},
    file = 'the chat template',
  ) {
    this.#source = typeof source === 'string' ? () => source : source;
    this.#variables = variables;
    this.#file = file;
  }

  /**
   * Text ready for `generate`. Without `addGenerationPrompt: false` it ends where the assistant begins to write. Throws `bad-tokenizer` for
   * a template that does not parse, `bad-input` for messages that it refuses.
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const template = (this.#template ??= this.#parse());
    try {
      return template.render({
        ...this.#variables,
        ...options.variables,
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

  /**
   * What every conversation begins with, one for each kind of first message, up to its first line's end: what follows may change from
   * day to day. Only what begins with a mark of some length, such as `<|im_start|>user` or `[INST] `: `User: ` or `# ` begin other texts as well.
   */
  get beginnings(): readonly string[] {
    return (this.#beginnings ??= [
      ...new Set((['user', 'system', 'assistant'] as const).flatMap((role) => this.#beginning(role) ?? [])),
    ]);
  }

  #beginning(role: ChatMessage['role']): string | null {
    const render = (content: string): string =>
      this.render([
        { role, content },
        ...(role === 'system' ? [{ role: 'user', content: 'c' } as const] : []),
      ]);
    try {
      const [one, other] = [render('a'), render('b')];
      let same = 0;
      while (same < one.length && one[same] === other[same]) same++;
      const found = /^\s*[^\s\p{L}\p{N}][^\n]*\n?/u.exec(one.slice(0, same))?.[0] ?? '';
      return found.trim().length >= LEAST_MARK ? found : null;
    } catch {
      // A template that refuses such a first message, or that cannot be rendered at all, begins no conversation with it.
      return null;
    }
  }

  #parse(): JinjaTemplate {
    const source = this.#source();
    try {
      return new JinjaTemplate(source);
    } catch (error) {
      throw new RuntimeError(
        'bad-tokenizer',
        `${this.#file}: the chat template does not parse: ${messageOf(error)}; correct it, or use raw completion`,
        { cause: error },
      );
    }
  }
}

const CONFIG = 'tokenizer_config.json';

/**
 * The template of a checkpoint's files: the .jinja file first, then tokenizer_config.json's; null where there is none. `specialTokens` is
 * special_tokens_map.json.
 */
export function findChatTemplate(
  jinja: string | null,
  config: Readonly<Record<string, unknown>>,
  specialTokens: Readonly<Record<string, unknown>> = {},
): ChatTemplate | null {
  const variables = templateVariables(config, specialTokens);
  if (jinja !== null && jinja.trim() !== '') return new ChatTemplate(jinja, variables, 'chat_template.jinja');
  const field = config.chat_template;
  if (typeof field === 'string') return new ChatTemplate(field, variables, CONFIG);
  if (typeof field !== 'object' || field === null) return null;
  const named = Array.isArray(field)
    ? Object.fromEntries((field as { name: string; template: string }[]).map((t) => [t.name, t.template]))
    : (field as Record<string, string>);
  return new ChatTemplate(() => plainChat(named), variables, CONFIG);
}

/** Of several named templates, "default" is the one for plain chat. */
function plainChat(named: Readonly<Record<string, string>>): string {
  if (named.default !== undefined) return named.default;
  throw new RuntimeError(
    'bad-tokenizer',
    `${CONFIG}: chat_template has ${Object.keys(named).toSorted().join(', ') || 'no template'} but no "default", which plain chat needs; name one so`,
  );
}
