// Chat messages to the raw text a model continues, including going on in the middle of an assistant message.
import { renderContinued } from '@baton/runtime/render-continued';
import type { ChatMessage, RenderOptions, TextModel } from '@baton/runtime/text-model';
import { ApiError } from '../api-error.ts';

/** With `continueFinal` the last message is an assistant's beginning. Throws 400 where the model has no template for that. */
export async function renderConversation(
  model: Pick<TextModel, 'id' | 'renderChat'>,
  messages: readonly ChatMessage[],
  continueFinal: boolean,
  options: Pick<RenderOptions, 'variables'> = {},
): Promise<string> {
  if (!model.renderChat)
    throw new ApiError(400, `${model.id} has no chat template; use /v1/completions`, { param: 'messages' });
  if (!continueFinal) return model.renderChat(messages, { ...options, addGenerationPrompt: true });
  const rendered = await renderContinued(model, messages, options);
  if (rendered === null)
    throw new ApiError(
      400,
      'messages: the chat template drops the last assistant message; use /v1/completions',
      {
        param: 'messages',
      },
    );
  return rendered;
}
