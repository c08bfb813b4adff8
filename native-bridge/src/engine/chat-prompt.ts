// Chat messages to the raw text a model continues, including going on in the middle of an assistant message.
import type { ChatMessage, TextModel } from '@baton/runtime/text-model';
import { ApiError } from '../api-error.ts';

/**
 * With `continueFinal` the last message is an assistant's beginning: the text ends exactly where that message ends, as
 * transformers' apply_chat_template(continue_final_message=True) does. Throws 400 where the model has no template.
 */
export async function renderConversation(
  model: Pick<TextModel, 'id' | 'renderChat'>,
  messages: readonly ChatMessage[],
  continueFinal: boolean,
): Promise<string> {
  if (!model.renderChat)
    throw new ApiError(400, `${model.id} has no chat template; use /v1/completions`, { param: 'messages' });
  if (!continueFinal) return model.renderChat(messages, { addGenerationPrompt: true });
  const final = messages.at(-1)!.content;
  // A mark instead of the content, so that a template that trims or cuts thoughts cannot change what is continued.
  const mark = 'baton-continues-here-7d1f';
  const marked = [...messages.slice(0, -1), { role: 'assistant' as const, content: mark }];
  const rendered = await model.renderChat(marked, { addGenerationPrompt: false });
  const at = rendered.lastIndexOf(mark);
  if (at < 0)
    throw new ApiError(
      400,
      'messages: the chat template drops the last assistant message; use /v1/completions',
      {
        param: 'messages',
      },
    );
  return rendered.slice(0, at) + final;
}
