// Opens what the bridge serves, by the options of the command: one local model, or a relay of a local small model and a
// large one elsewhere.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { DirectoryFiles } from '@baton/compiler/node';
import { openModel, type LocalModel, type TargetId } from '@baton/runtime';
import { resolveModel } from '@baton/runtime/node';
import { parsePolicy, type Budget } from '@baton/split';
import { bridgeTargets } from '../targets.ts';
import type { Engine } from './engine.ts';
import { openLarge, type LargeOptions } from './open-large.ts';
import { RelayEngine } from './relay-engine.ts';
import { ModelEngine } from './model-engine.ts';

export interface EngineOptions {
  /** Compiled directory, checkpoint directory or demo name. */
  model: string;
  /** Default: the fastest here, by a short measurement that is remembered. */
  target?: TargetId | undefined;
  /** Bytes of KV cache over all conversations. Default 1 GiB. */
  cacheBytes?: number;
  /** Conversations kept. Default 8. */
  conversations?: number;
  /** Ends the compiling of a checkpoint, which leaves nothing of it. */
  signal?: AbortSignal;
  /** Serves a relay: `model` is the small one, this the large one. */
  relay?: LargeOptions & { policy: string; budget: Budget };
}

/** Throws with one line that says what is wrong; nothing stays open then. */
export async function openEngine(options: EngineOptions): Promise<Engine & { room: number }> {
  // Before minutes of compiling: a policy that does not exist.
  if (options.relay) parsePolicy(options.relay.policy);
  const targets = bridgeTargets();
  // Through the progress, since the compiler's other options are part of the name that a compiled model is kept under.
  const compile = { onProgress: () => options.signal?.throwIfAborted() };
  const open = async (model: string): Promise<LocalModel> =>
    openModel(new DirectoryFiles(await resolveModel(model, compile)), {
      targets,
      target: options.target ?? 'auto',
    });
  const limits = { bytes: options.cacheBytes ?? 1024 ** 3, count: options.conversations ?? 8 };
  const model = await open(options.model);
  try {
    const chatTemplate = await templateOf(await resolveModel(options.model));
    if (!options.relay) return new ModelEngine(model, limits, chatTemplate);
    const { policy, budget, ...rest } = options.relay;
    const large = await openLarge(rest, open);
    return new RelayEngine({ small: model, limits, large, policy, budget, chatTemplate });
  } catch (error) {
    await model.close();
    throw error;
  }
}

/** The chat template's source, for clients that render prompts themselves. */
async function templateOf(directory: string): Promise<string | null> {
  const read = (name: string): Promise<string | null> =>
    readFile(path.join(directory, name), 'utf8').catch(() => null);
  const jinja = await read('chat_template.jinja');
  if (jinja !== null && jinja.trim() !== '') return jinja;
  const config = JSON.parse((await read('tokenizer_config.json')) ?? '{}') as { chat_template?: unknown };
  const field = config.chat_template;
  if (typeof field === 'string') return field;
  if (!Array.isArray(field)) return null;
  const named = field as { name: string; template: string }[];
  return (named.find((t) => t.name === 'default') ?? named[0])?.template ?? null;
}
