// What is known of each kind of server: how it continues a thought, and where its habits differ from OpenAI's. Sources
// are the projects' own documents and code as of 2026-11; the capability probe decides where they are silent.

import { SplitError } from '../split-error.ts';
import type { Dialect } from './chat-continuation.ts';

export interface Preset {
  name: string;
  /**
   * How it continues text in the middle of a thought. 'raw': POST /completions with the prompt as text; 'ollama': its own
   * POST /api/generate with `raw: true`.
   */
  continuation: Dialect | 'raw' | 'ollama';
  /** Input is paid for per token. */
  billed: boolean;
  /** Gives log-probabilities of generated tokens. */
  logprobs: boolean;
  /** Field of a message that takes the thought. */
  thoughtField?: string;
  /** Alternatives below which it tells none. */
  leastLogprobs?: number;
  /** What it calls OpenAI's fields where it has other names; null: it refuses the field. */
  fieldNames?: Readonly<Record<string, string | null>>;
  /** `owned_by` of its models in /v1/models, where that gives it away. */
  owner?: string;
  /** Added to every request. */
  extraBody?: Readonly<Record<string, unknown>>;
  /** Address that people use, where there is one. */
  url?: string;
  /** One line for people. */
  remark: string;
}

/** vLLM and SGLang send the running usage in every event, so that a request cut at hand-back is still counted exactly. */
const RUNNING_USAGE = { stream_options: { include_usage: true, continuous_usage_stats: true } };

export const PRESETS: readonly Preset[] = [
  {
    name: 'vllm',
    continuation: 'raw',
    billed: false,
    logprobs: true,
    owner: 'vllm',
    // A rendered chat has its begin-of-text token already; by default vLLM puts another one in front.
    extraBody: { ...RUNNING_USAGE, return_token_ids: true, add_special_tokens: false },
    url: 'http://127.0.0.1:8000/v1',
    remark: 'start with --enable-prompt-tokens-details to see cached tokens; prefix caching is on by default',
  },
  {
    name: 'sglang',
    continuation: 'raw',
    billed: false,
    logprobs: true,
    owner: 'sglang',
    extraBody: RUNNING_USAGE,
    url: 'http://127.0.0.1:30000/v1',
    remark: 'start with --enable-cache-report to see cached tokens',
  },
  {
    name: 'llama.cpp',
    continuation: 'raw',
    billed: false,
    logprobs: true,
    owner: 'llamacpp',
    // `logprobs: 0` asks for none there. Special tokens are left out of the text unless they are named.
    leastLogprobs: 1,
    fieldNames: { repetition_penalty: 'repeat_penalty' },
    extraBody: { cache_prompt: true, preserved_tokens: ['<think>', '</think>'] },
    url: 'http://127.0.0.1:8080/v1',
    remark: 'llama-server; one slot keeps one prefix, so give it as many slots (-np) as people',
  },
  {
    name: 'ollama',
    continuation: 'ollama',
    billed: false,
    logprobs: true,
    owner: 'library',
    url: 'http://127.0.0.1:11434/v1',
    remark:
      'asked through its own /api/generate, which takes raw text; /v1/completions would add a chat template',
  },
  {
    name: 'lm-studio',
    continuation: 'raw',
    billed: false,
    logprobs: false,
    owner: 'organization_owner',
    fieldNames: { repetition_penalty: 'repeat_penalty' },
    url: 'http://127.0.0.1:1234/v1',
    remark: 'turn the server on in the Developer tab, with CORS for a page',
  },
  {
    name: 'deepseek',
    continuation: 'prefix',
    billed: true,
    logprobs: false,
    // api-docs.deepseek.com, chat completion: "the input for the CoT in the last assistant message".
    thoughtField: 'reasoning_content',
    url: 'https://api.deepseek.com/beta',
    remark: 'beta address; the last message carries prefix: true, and its thought as reasoning_content',
  },
  {
    name: 'mistral',
    continuation: 'prefix',
    billed: true,
    logprobs: false,
    // Unknown fields are refused with 422, and its last event carries the usage unasked.
    fieldNames: {
      seed: 'random_seed',
      stream_options: null,
      top_k: null,
      min_p: null,
      repetition_penalty: null,
      logit_bias: null,
    },
    url: 'https://api.mistral.ai/v1',
    remark: 'the last message carries prefix: true; the prefix comes back in front and is cut off',
  },
  {
    name: 'openrouter',
    continuation: 'raw',
    billed: true,
    logprobs: false,
    url: 'https://openrouter.ai/api/v1',
    remark: 'raw prompts only where the chosen provider takes them',
  },
  {
    name: 'baton',
    continuation: 'raw',
    billed: false,
    logprobs: true,
    owner: 'baton',
    url: 'http://127.0.0.1:8787/v1',
    remark: 'baton serve',
  },
];

/** Throws SplitError `bad-input` for an unknown name. */
export function presetByName(name: string): Preset {
  const found = PRESETS.find((preset) => preset.name === name.toLowerCase());
  if (found) return found;
  throw new SplitError(
    'bad-input',
    `unknown endpoint preset "${name}"; known: ${PRESETS.map((p) => p.name).join(', ')}`,
  );
}

/** The preset of a server whose models are owned by `owner`, or null. */
export function presetByOwner(owner: string): Preset | null {
  return PRESETS.find((preset) => preset.owner !== undefined && preset.owner === owner) ?? null;
}

/** The preset of a well-known address, or null. */
export function presetByUrl(url: string): Preset | null {
  const host = URL.parse(url)?.hostname ?? '';
  const known: readonly (readonly [string, string])[] = [
    ['api.deepseek.com', 'deepseek'],
    ['api.mistral.ai', 'mistral'],
    ['openrouter.ai', 'openrouter'],
  ];
  // Nothing else listens there, and its other API would pass for one that continues raw text.
  if (URL.parse(url)?.port === '11434') return presetByName('ollama');
  const match = known.find(([name]) => host === name || host.endsWith(`.${name}`));
  return match ? presetByName(match[1]) : null;
}
