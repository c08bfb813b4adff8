// POST /v1/chat/completions: messages in, the assistant's message out, whole or streamed. A last message by the assistant
// is continued (continue_final_message as vLLM and transformers have it; trailing assistant message as llama.cpp).
import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import type { ChatMessage } from '@baton/runtime/text-model';
import { ApiError } from '../api-error.ts';
import type { Engine } from '../engine/engine.ts';
import {
  generateOptions,
  generationFields,
  maxTokensField,
  mostTokens,
  parseBody,
  templateVariables,
  unsupported,
} from './generation-fields.ts';
import { chatLogprobs } from './logprobs.ts';
import { UsageSum, extensions, finishReason } from './run-request.ts';

const part = v.object({
  type: v.literal('text', 'this server reads text only, no images, audio or files'),
  text: v.string(),
});
const schema = v.object({
  ...generationFields,
  messages: v.pipe(
    v.array(
      v.object({
        role: v.picklist(['system', 'developer', 'user', 'assistant']),
        // Before the content, which such messages leave out.
        tool_calls: unsupported('tools', []),
        function_call: unsupported('functions'),
        // Not a union, which says of a part only that it is no text.
        content: v.lazy((content) => (Array.isArray(content) ? v.array(part) : v.string())),
      }),
    ),
    v.minLength(1),
  ),
  max_tokens: maxTokensField,
  max_completion_tokens: maxTokensField,
  logprobs: v.nullish(v.boolean()),
  top_logprobs: v.nullish(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(20))),
  continue_final_message: v.nullish(v.boolean()),
  add_generation_prompt: v.nullish(v.boolean()),
  tools: unsupported('tools', []),
  functions: unsupported('functions', []),
  chat_template: unsupported('other chat template than the model’s own'),
  chat_template_kwargs: v.nullish(templateVariables),
  audio: unsupported('audio'),
  modalities: unsupported('other modality than text', ['text'], []),
});

export type ChatRequest = v.InferOutput<typeof schema>;

interface ChatChoice {
  index: number;
  delta: { role?: 'assistant'; content?: string };
  logprobs: { content?: object[] } | null;
  finish_reason: 'stop' | 'length' | null;
}

export interface ChatEvent {
  choices: ChatChoice[];
  usage?: object | null;
  /** Who wrote this chunk; only a stream can say it. */
  origin?: string;
}

export function parseChat(body: unknown): ChatRequest {
  const request = parseBody(schema, body);
  const last = request.messages.at(-1)!.role;
  if (request.top_logprobs && !request.logprobs)
    throw new ApiError(400, 'top_logprobs: needs logprobs: true', { param: 'top_logprobs' });
  if (request.continue_final_message && last !== 'assistant')
    throw new ApiError(400, 'continue_final_message: the last message is not the assistant’s', {
      param: 'continue_final_message',
    });
  if (request.continue_final_message && request.add_generation_prompt)
    throw new ApiError(400, 'add_generation_prompt and continue_final_message exclude each other', {
      param: 'add_generation_prompt',
    });
  if (
    request.add_generation_prompt === false &&
    (last !== 'assistant' || request.continue_final_message === false)
  )
    throw new ApiError(400, 'add_generation_prompt: without it only an assistant message can be continued', {
      param: 'add_generation_prompt',
    });
  return request;
}

export async function* chatEvents(
  engine: Engine,
  request: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent> {
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    object: 'chat.completion.chunk',
    created: Math.floor(Date.now() / 1000),
    model: engine.info.id,
  };
  const messages = request.messages.map(plain);
  const last = messages.at(-1)!.role;
  const continueFinal =
    request.continue_final_message ?? (last === 'assistant' && !request.add_generation_prompt);
  const usage = new UsageSum();
  for (let index = 0; index < (request.n ?? 1); index++) {
    const most = mostTokens(request.max_completion_tokens ?? request.max_tokens, Infinity);
    const options = {
      ...generateOptions(request, index, most),
      ...(request.logprobs ? { topLogprobs: request.top_logprobs ?? 0 } : {}),
      signal,
      continueFinal,
      variables: request.chat_template_kwargs ?? {},
    };
    let first = true;
    for await (const chunk of engine.chat(messages, options)) {
      usage.add(chunk.usage, index === 0);
      const logprobs =
        request.logprobs && chunk.logprobs
          ? chatLogprobs(chunk.logprobs, (id) => engine.tokenBytes(id))
          : null;
      const finish = finishReason(chunk);
      // A chunk of its own, as OpenAI has it: its client's stream helper counts the first chunk's log-probabilities twice.
      if (first) yield { ...head, choices: [choice(index, { role: 'assistant', content: '' })] };
      first = false;
      yield {
        ...head,
        choices: [choice(index, { content: chunk.text }, logprobs, finish)],
        ...extensions(chunk),
      };
    }
  }
  yield { ...head, choices: [], usage: usage.body() };
}

function choice(
  index: number,
  delta: ChatChoice['delta'],
  logprobs: ChatChoice['logprobs'] = null,
  finish: ChatChoice['finish_reason'] = null,
): ChatChoice {
  return { index, delta, logprobs, finish_reason: finish };
}

/** The whole answer of a request without `stream`. */
export async function chatBody(events: AsyncIterable<ChatEvent>): Promise<object> {
  const messages: { content: string; logprobs: object[] | null; finish: ChatChoice['finish_reason'] }[] = [];
  let rest: object = {};
  for await (const { choices, origin: _, ...head } of events) {
    for (const { index, delta, logprobs, finish_reason } of choices) {
      const one = (messages[index] ??= { content: '', logprobs: null, finish: null });
      one.content += delta.content ?? '';
      if (logprobs?.content) one.logprobs = [...(one.logprobs ?? []), ...logprobs.content];
      one.finish = finish_reason ?? one.finish;
    }
    rest = { ...rest, ...head };
  }
  return {
    ...rest,
    object: 'chat.completion',
    choices: messages.map(({ content, logprobs, finish }, index) => ({
      index,
      message: { role: 'assistant', content, refusal: null },
      logprobs: logprobs === null ? null : { content: logprobs },
      finish_reason: finish,
    })),
  };
}

function plain({ role, content }: ChatRequest['messages'][number]): ChatMessage {
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : content.map((p) => p.text).join(''),
  };
}
