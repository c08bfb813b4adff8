// What a person types for a model (a directory, a demo name, or the URL of an OpenAI-compatible server), opened as a
// TextModel or named for a report.

import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';

import { openBridge } from '@baton/bridge/client';
import { MANIFEST_FILE, ManifestError, parseManifest } from '@baton/compiler/manifest';
import type { TargetId } from '@baton/runtime';
import { DEMO_MODELS, nodeTargets, openLocal, resolveModel } from '@baton/runtime/node';
import type { TextModel } from '@baton/runtime/text-model';
import { EndpointError, SplitError } from '@baton/split';
import { ChatContinuationModel, apiBase, connectOnDemand, openSmallEndpoint } from '@baton/split/endpoint';
import type { EndpointOptions } from '@baton/split/endpoint';
import { targetsFor } from './targets-for.ts';
import { UsageError } from './usage-error.ts';

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
  /** Gives up waiting for a server. */
  signal?: AbortSignal | undefined;
}

/**
 * Up to so many bytes of weights one thread is faster than several: a decode step is then all hand-over between threads
 * (0.5 M parameters on two busy cores: 2.5 ms a token with one thread, 7 ms with two).
 */
const ONE_THREAD_BYTES = 32 * 2 ** 20;

export function isUrl(argument: string): boolean {
  return /^https?:\/\//i.test(argument);
}

/** Looks like a model's id on the Hugging Face Hub, owner/name; so does many a path. */
export function isHubId(argument: string): boolean {
  return /^[\w-][\w.-]*\/[\w.-]+$/.test(argument);
}

/** Throws for what a person did not mean as a local model: nothing at all, or the id of a model that is not on this machine. */
export async function checkLocalModel(argument: string): Promise<void> {
  if (argument === '')
    throw new UsageError(
      `the model is empty: give a compiled directory, a checkpoint directory, or ${DEMO_MODELS.join(' / ')}`,
    );
  if (!isHubId(argument) || (await stat(argument).catch(() => null))) return;
  throw new Error(
    `no model at ${argument}: there is no such folder; if it is a Hugging Face id, run baton compile ${argument} --out DIR first and give DIR`,
  );
}

/** How long a server may take to say what it is: one here answers at once, one far away may have to be woken. */
const ANSWER_HERE_MS = 5_000;
const ANSWER_THERE_MS = 30_000;
/** After this a person is told what is waited for. */
const QUIET_MS = 2_000;

/** Failures that would only be met again by asking the same server for something else. */
const UNREACHED: ReadonlySet<string> = new Set(['refused', 'dns', 'tls', 'silence', 'network']);

/** Opens a model argument. Keys are read from the environment only, so that they appear in no file and no process list. */
export async function openModelArgument(
  argument: string,
  options: ModelArgumentOptions = {},
): Promise<TextModel> {
  if (!isUrl(argument)) {
    await checkLocalModel(argument);
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
  const place = apiBase(argument);
  const waiting = (): boolean => process.stderr.write(`baton: waiting for ${place} to answer\n`);
  const timer = setTimeout(waiting, QUIET_MS);
  try {
    const bridge = options.preset === undefined ? await bridgeAt(argument, options) : null;
    if (bridge) return bridge;
    const { signal } = options;
    return options.role === 'small'
      ? await openSmallEndpoint({ ...endpoint, ...(signal ? { signal } : {}) })
      : connectOnDemand(endpoint);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The bridge's model where the server is a bridge: it has sessions, so that it can be the small model as well. Its token
 * comes as any endpoint's key, or on this machine from BATON_BRIDGE_TOKEN, which no other may see. null for other servers
 * and for one that answers with a failure, whose own errors are then told. Throws for one that is not reached or stays
 * silent.
 */
async function bridgeAt(url: string, options: ModelArgumentOptions): Promise<TextModel | null> {
  const { apiKey } = endpointOf(url, options);
  const here = /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(new URL(apiBase(url)).hostname);
  const token = apiKey ?? (here ? process.env.BATON_BRIDGE_TOKEN : undefined);
  const patience = here ? ANSWER_HERE_MS : ANSWER_THERE_MS;
  const late = AbortSignal.timeout(patience);
  const { signal } = options;
  try {
    return await openBridge(
      { url, ...(token ? { token } : {}) },
      signal ? AbortSignal.any([late, signal]) : late,
    );
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof EndpointError && UNREACHED.has(error.kind)) throw error;
    if (late.aborted)
      throw new EndpointError(
        'silence',
        `${apiBase(url)}: nothing was answered for ${patience / 1000} s; is the address right?`,
        { cause: error },
      );
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
 * are never mixed with older ones; a remote one by model id and address, without its credentials and query.
 */
export async function identifyModelArgument(
  argument: string,
  options: ModelArgumentOptions = {},
): Promise<string> {
  if (isUrl(argument)) {
    const address = apiBase(argument);
    return options.modelId === undefined ? address : `${options.modelId} at ${address}`;
  }
  await checkLocalModel(argument);
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
