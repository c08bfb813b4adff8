// An endpoint by its address: preset where it is named or well known, otherwise by asking it.

import type { TextModel } from '@baton/runtime/text-model';

import { EndpointError } from '../split-error.ts';
import { ChatContinuationModel } from './chat-continuation.ts';
import { OpenAICompletionsModel } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';
import { presetByName, presetByUrl } from './presets.ts';
import { probeEndpoint } from './probe.ts';

export interface ConnectOptions extends EndpointOptions {
  /** Name of a preset; its settings are then taken as they are, without a probe. */
  preset?: string;
  signal?: AbortSignal;
}

/** Opens an endpoint as a TextModel. Throws EndpointError where it cannot be reached or cannot be used. */
export async function connect(options: ConnectOptions): Promise<TextModel> {
  const { preset: name, signal, ...rest } = options;
  const preset = name === undefined ? presetByUrl(rest.url) : presetByName(name);
  if (preset) {
    const settings: EndpointOptions = {
      billed: preset.billed,
      logprobs: preset.logprobs,
      ...rest,
      extraBody: { ...preset.extraBody, ...rest.extraBody },
    };
    return preset.continuation === 'raw'
      ? new OpenAICompletionsModel(settings)
      : new ChatContinuationModel(settings, preset.continuation);
  }
  const probe = await probeEndpoint(rest, signal);
  const settings: EndpointOptions = { logprobs: probe.logprobs, ...rest, model: probe.model };
  if (probe.continuation === 'raw') return new OpenAICompletionsModel(settings);
  if (probe.continuation === null)
    throw new EndpointError(
      'bad-request',
      `${rest.url} can neither complete text nor chat: ${probe.remarks.join('; ')}`,
    );
  return new ChatContinuationModel(settings, probe.continuation);
}
