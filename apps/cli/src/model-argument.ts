// What a person types for a model (a directory, a demo name, or the URL of an OpenAI-compatible server), opened as a
// TextModel or named for a report.

import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { openBridge } from '@baton/bridge/client';
import { MANIFEST_FILE, ManifestError, parseManifest } from '@baton/compiler/manifest';
import type { TargetId } from '@baton/runtime';
import { nodeTargets, openLocal, resolveModel } from '@baton/runtime/node';
import type { TextModel } from '@baton/runtime/text-model';
import { SplitError } from '@baton/split';
import { ChatContinuationModel, connectOnDemand, openSmallEndpoint } from '@baton/split/endpoint';
import type { EndpointOptions } from '@baton/split/endpoint';
import { targetsFor } from './targets-for.ts';

export interface ModelArgumentOptions {
  /** 'auto': the fastest here by a short measurement. */
  target?: TargetId | 'auto' | undefined;
  /** Model id at a URL; the server's first one when absent. */
  modelId?: string | undefined;
  /** Threads inside one operator of a local model. Default: 1 for a small one, else the runtime's choice. */
  threads?: number | undefined;
  /** Kind of server at a URL (vllm, llama.cpp, deepseek ...); found out by asking it when absent. */
  preset?: string | undefined;
  /** Environment variable that holds the key for a URL. */
  apiKeyEnv?: string | undefined;
  /** What it is opened for. A small one must tell its own predictions, also over a text that it did not write. Default: to write. */
  role?: 'small' | 'large' | undefined;
}

/**
 * Up to so many bytes of weights one thread is faster than several: a decode step is then all hand-over between threads
 * (0.5 M parameters on two busy cores: 2.5 ms a token with one thread, 7 ms with two).
 */
const ONE_THREAD_BYTES = 32 * 2 ** 20;

export function isUrl(argument: string): boolean {
  return /^https?:\/\//i.test(argument);
}

/** Opens a model argument. Keys are read from the environment only, so that they appear in no file and no process list. */
export async function openModelArgument(
  argument: string,
  options: ModelArgumentOptions = {},
): Promise<TextModel> {
  if (!isUrl(argument)) {
    const threads =
      options.threads ?? ((await weightsOf(argument)).bytes <= ONE_THREAD_BYTES ? 1 : undefined);
    return openLocal(argument, {
      target: options.target,
      ...(threads === undefined ? {} : { targets: nodeTargets({ threads }) }),
      ...(await targetsFor(options.target)),
    });
  }
  const endpoint = {
    ...endpointOf(argument, options),
    ...(options.preset === undefined ? {} : { preset: options.preset }),
  };
  // Asked what it can do by the first request, so that one that is away costs neither an answer nor a wait.
  if (options.role === 'large') return connectOnDemand(endpoint);
  const bridge = options.preset === undefined ? await bridgeAt(argument, options) : null;
  if (bridge) return bridge;
  return options.role === 'small' ? openSmallEndpoint(endpoint) : connectOnDemand(endpoint);
}

/**
 * The bridge's model where the server is a bridge: it has sessions, so that it can be the small model as well. Its token
 * comes from BATON_BRIDGE_TOKEN, or as any endpoint's key. null for other servers and for one that is away, whose own
 * errors are then told.
 */
async function bridgeAt(url: string, options: ModelArgumentOptions): Promise<TextModel | null> {
  const { apiKey } = endpointOf(url, options);
  const token = apiKey ?? process.env.BATON_BRIDGE_TOKEN;
  try {
    return await openBridge({ url, ...(token ? { token } : {}) }, AbortSignal.timeout(10_000));
  } catch {
    return null;
  }
}

/** Opens a URL for whole chat turns (an annotator), or a local model. */
export async function openChatArgument(
  argument: string,
  options: ModelArgumentOptions = {},
): Promise<TextModel> {
  if (!isUrl(argument)) return openModelArgument(argument, options);
  return new ChatContinuationModel(endpointOf(argument, options), 'trailing');
}

/** What reaches the endpoint at `url`. Throws SplitError where the named variable holds no key. */
export function endpointOf(url: string, { apiKeyEnv, modelId }: ModelArgumentOptions): EndpointOptions {
  const apiKey = apiKeyEnv === undefined ? undefined : process.env[apiKeyEnv];
  if (apiKeyEnv !== undefined && !apiKey) {
    throw new SplitError('bad-input', `the environment variable ${apiKeyEnv} (--api-key-env) is empty`);
  }
  return {
    url,
    ...(modelId === undefined ? {} : { model: modelId }),
    ...(apiKey === undefined ? {} : { apiKey }),
  };
}

/**
 * A model's identity for a report: a local one by the hash of its compiled weights, so that results of a retrained model
 * are never mixed with older ones; a remote one by address and model id.
 */
export async function identifyModelArgument(
  argument: string,
  options: ModelArgumentOptions = {},
): Promise<string> {
  if (isUrl(argument)) return options.modelId === undefined ? argument : `${options.modelId} at ${argument}`;
  const weights = await weightsOf(argument);
  const target = options.target === undefined ? '' : `, ${options.target}`;
  return `${path.basename(argument)} (weights ${weights.sha256.slice(0, 16)}${target})`;
}

/** The weight file of a local model; a checkpoint is compiled first. */
async function weightsOf(argument: string): Promise<{ bytes: number; sha256: string }> {
  const file = path.join(await resolveModel(argument), MANIFEST_FILE);
  const manifest = parseManifest(JSON.parse(await readFile(file, 'utf8')));
  const weights = manifest.files.find((one) => one.path === manifest.weightsFile);
  if (!weights)
    throw new ManifestError(`${file}: the weight file ${manifest.weightsFile} is not listed under "files"`);
  return weights;
}
