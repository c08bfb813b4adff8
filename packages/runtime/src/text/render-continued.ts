// A conversation whose last message is an assistant's beginning, as the raw text that a model goes on with.

import type { ChatMessage, RenderOptions, TextModel } from '../text-model.ts';

/** Stands for what is continued, so that a template that trims or cuts thoughts cannot change it. */
const MARK = 'baton-continues-here-7d1f';

/**
 * The messages in the model's own form, ending exactly where the last one ends, as transformers'
 * apply_chat_template(continue_final_message=True) does. Null where the template drops that message. The model must have
 * a `renderChat`; throws what that throws.
 */
export async function renderContinued(
  model: Pick<TextModel, 'renderChat'>,
  messages: readonly ChatMessage[],
  options: Pick<RenderOptions, 'variables'> = {},
): Promise<string | null> {
  const { content } = messages.at(-1)!;
  const marked = [...messages.slice(0, -1), { role: 'assistant', content: MARK } as const];
  const rendered = await model.renderChat!(marked, { ...options, addGenerationPrompt: false });
  const at = rendered.lastIndexOf(MARK);
  return at < 0 ? null : rendered.slice(0, at) + content;
}
