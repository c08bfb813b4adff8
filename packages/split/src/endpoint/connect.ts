// An endpoint by its address: preset where it is named or well known, otherwise by asking it.

import type { TextModel } from '@baton/runtime/text-model';

import { EndpointError } from '../split-error.ts';
import { apiBase } from './address.ts';
import { ChatContinuationModel } from './chat-continuation.ts';
import { isRenderer } from './chat-template.ts';
import type { Dialect } from './chat-continuation.ts';
import { OllamaModel } from './ollama.ts';
import { OpenAICompletionsModel } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';
import { presetByName, presetByUrl } from './presets.ts';
import { probeEndpoint, withPreset } from './probe.ts';
import { TemplatedCompletionsModel } from './templated-completions.ts';

export interface ConnectOptions extends EndpointOptions {
  /** Name of a preset; its settings are then taken as they are, without a probe. */
  preset?: string;
  signal?: AbortSignal;
}

/** Opens an endpoint as a TextModel. Throws EndpointError where it cannot be reached or cannot be used. */
export async function connect(options: ConnectOptions): Promise<TextModel> {
  const known = connectKnown(options);
  if (known) return known;
  const { preset: _, signal, ...rest } = options;
  const probe = await probeEndpoint(rest, { signal, echo: false });
  if (probe.continuation === null)
    throw (
      probe.failure ??
      new EndpointError(
        'bad-request',
        `${apiBase(rest.url)} can neither complete text nor chat: ${probe.remarks.join('; ')}`,
      )
    );
  const preset = probe.preset === null ? null : presetByName(probe.preset);
  const settings = {
    ...withPreset(preset, rest),
    logprobs: rest.logprobs ?? probe.logprobs,
    model: probe.model,
    plain: probe.plain,
  };
  return open(settings, probe.continuation, preset?.name);
}

/** The endpoint where its preset is named or its address well known, without a request; null where it must be asked. */
export function connectKnown(options: ConnectOptions): TextModel | null {
  const { preset: name, signal: _, ...rest } = options;
  const preset = name === undefined ? presetByUrl(rest.url) : presetByName(name);
  return preset && open(withPreset(preset, rest), preset.continuation, preset.name);
}

function open(
  settings: EndpointOptions,
  continuation: 'raw' | 'ollama' | Dialect,
  kind: string = '',
): TextModel {
  if (continuation === 'raw')
    return isRenderer(kind)
      ? new TemplatedCompletionsModel(settings, kind)
      : new OpenAICompletionsModel(settings);
  if (continuation === 'ollama') return new OllamaModel(settings);
  return new ChatContinuationModel(settings, continuation);
}
