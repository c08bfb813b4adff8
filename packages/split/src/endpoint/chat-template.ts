// A question in a server's own chat template, as text: what a raw completion must begin with, for /v1/completions applies no
// template. Sources: vLLM (`POST /tokenize` of messages, `POST /detokenize`: vllm/entrypoints/serve/tokenize/protocol.py),
// llama.cpp's server (`POST /apply-template`: tools/server/README.md), SGLang (`POST /v1/tokenize` of messages in newer versions, `POST
// /v1/detokenize`: srt/entrypoints/openai/serving_tokenize.py), `baton serve` (`POST /v1/render`).
//
// A template begins with the model's begin-of-text token, and some servers put one in front of every raw prompt as well: llama.cpp where
// `tokenizer.ggml.add_bos_token` says so (tools/server/README.md, `prompt`), SGLang where the tokenizer does (its TokenizerManager encodes with
// special tokens, and no field turns that off; sgl-project/sglang pull request 8291). A model that reads it twice answers worse. What
// a server adds it is asked once, and that is then left out of what it is sent. vLLM is told to add nothing (presets.ts).

import type { ChatMessage, RenderOptions } from '@baton/runtime/text-model';
import { underSignal } from '@baton/runtime/under-signal';

import { EndpointError } from '../split-error.ts';
import { apiBase } from './address.ts';
import { requestJson } from './event-stream.ts';
import type { HttpOptions, Signal } from './event-stream.ts';

/** Kinds of servers that render. */
export type Renderer = 'vllm' | 'llama.cpp' | 'sglang' | 'baton';

export function isRenderer(kind: string): kind is Renderer {
  return kind === 'vllm' || kind === 'llama.cpp' || kind === 'sglang' || kind === 'baton';
}

export interface RenderingServer {
  kind: Renderer;
  url: string;
  model: string;
  http: HttpOptions;
}

type Post = (path: string, body: object) => Promise<unknown>;

/** The server's base and root addresses, and a request to it. */
function access({ url, http }: RenderingServer): { base: string; root: string; post: Post } {
  const base = apiBase(url);
  return {
    base,
    root: base.replace(/\/v1$/, ''),
    post: (path, body) => requestJson(path, 'POST', body, http, undefined),
  };
}

/** llama.cpp answers a template that fails with 500. */
const UNKNOWN: ReadonlySet<string> = new Set(['bad-request', 'malformed', 'server']);

/** What `work` comes to; null where the server has no such request. */
async function ifKnown<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EndpointError && UNKNOWN.has(error.kind)) return null;
    throw error;
  }
}

/**
 * The messages as the text that the server's model reads; null where it has no such request (a proxy in front of it, a model
 * without a template). Throws EndpointError where it is not reached.
 */
export async function renderedBy(
  server: RenderingServer,
  messages: readonly ChatMessage[],
  { addGenerationPrompt = true, variables = {} }: RenderOptions = {},
): Promise<string | null> {
  const { kind, model } = server;
  const { base, root, post } = access(server);
  const given = Object.keys(variables).length > 0;
  const kwargs = given ? { chat_template_kwargs: variables } : {};
  const asked = { messages, add_generation_prompt: addGenerationPrompt, ...kwargs };
  return ifKnown(async () => {
    switch (kind) {
      case 'baton':
        return textOf(
          await post(`${base}/render`, { messages, addGenerationPrompt, ...(given ? { variables } : {}) }),
          'text',
        );
      case 'llama.cpp':
        return textOf(await post(`${root}/apply-template`, asked), 'prompt');
      case 'vllm': {
        const { tokens } = (await post(`${root}/tokenize`, { model, ...asked })) as { tokens?: unknown };
        return textOf(await post(`${root}/detokenize`, { model, tokens }), 'prompt');
      }
      case 'sglang':
        return sglangText(server, await post(`${base}/tokenize`, { model, ...asked }));
    }
  });
}

/** Stands for a prompt where what a server puts in front of one is looked for. */
const ANY = 'a';

/** The text that the server puts in front of every raw prompt by itself; '' where it puts none there, or does not tell. */
export async function addedInFront(server: RenderingServer): Promise<string> {
  const { kind, model } = server;
  const { base, root, post } = access(server);
  const added = await ifKnown(async () => {
    if (kind === 'llama.cpp') {
      const asked = { content: '', add_special: true, with_pieces: true };
      const { tokens } = (await post(`${root}/tokenize`, asked)) as { tokens?: { piece?: unknown }[] };
      return textOf(Array.isArray(tokens) ? tokens[0] : null, 'piece');
    }
    if (kind !== 'sglang') return null;
    const tokens = await post(`${base}/tokenize`, { model, prompt: ANY, add_special_tokens: true });
    const text = await sglangText(server, tokens);
    return text === null ? null : text.slice(0, Math.max(0, text.lastIndexOf(ANY))).trimEnd();
  });
  return added ?? '';
}

/** `text` as the server must be sent it: what it adds itself is left out. */
export function withoutAdded(text: string, added: string): string {
  return added !== '' && text.startsWith(added) ? text.slice(added.length) : text;
}

/** The text of tokens that SGLang told. */
async function sglangText(server: RenderingServer, answer: unknown): Promise<string | null> {
  const { base, post } = access(server);
  const { tokens } = answer as { tokens?: unknown };
  // Special tokens are left out unless they are asked for.
  const asked = { model: server.model, tokens, skip_special_tokens: false };
  return textOf(await post(`${base}/detokenize`, asked), 'text');
}

function textOf(answer: unknown, field: string): string | null {
  const value = (answer as Record<string, unknown> | null)?.[field];
  return typeof value === 'string' ? value : null;
}

/** A text that no template changes and nobody writes. */
const place = (number: number): string => `Text ${number} stands here: 7f3a9c.`;

/** Conversations are told apart by who speaks when; those of this many forms are remembered. */
const MOST_FORMS = 32;

/**
 * What a server's template puts around the texts of a conversation, found with texts that say nothing: so the conversation itself goes out
 * with the first request that needs it, and never before.
 */
export class ChatFrame {
  readonly #render: (messages: readonly ChatMessage[]) => Promise<string | null>;
  /** By the roles: what stands before, between and behind the texts. */
  readonly #frames = new Map<string, Promise<readonly string[] | null>>();

  constructor(render: (messages: readonly ChatMessage[]) => Promise<string | null>) {
    this.#render = render;
  }

  /** The messages in their frame; null where the server renders nothing or changes what it is given. */
  async around(messages: readonly ChatMessage[], signal?: Signal): Promise<string | null> {
    try {
      // Not under the signal of whoever comes first: others wait for it as well.
      const frame = await underSignal(this.#frameOf(messages), signal);
      return frame && frame.map((piece, i) => piece + (messages[i]?.content ?? '')).join('');
    } catch (error) {
      // The request that is to follow will say for itself what is wrong.
      if (error instanceof EndpointError) return null;
      throw error;
    }
  }

  #frameOf(messages: readonly ChatMessage[]): Promise<readonly string[] | null> {
    const roles = messages.map(({ role }) => role);
    const key = roles.join();
    let frame = this.#frames.get(key);
    if (!frame) {
      frame = this.#find(roles);
      this.#frames.set(key, frame);
      // Asked again another time.
      frame.catch(() => this.#frames.delete(key));
      if (this.#frames.size > MOST_FORMS) this.#frames.delete(this.#frames.keys().next().value!);
    }
    return frame;
  }

  async #find(roles: readonly ChatMessage['role'][]): Promise<readonly string[] | null> {
    const rendered = await this.#render(roles.map((role, i) => ({ role, content: place(i) })));
    if (rendered === null) return null;
    const pieces: string[] = [];
    let rest = rendered;
    for (const i of roles.keys()) {
      const [piece, behind, ...more] = rest.split(place(i));
      if (piece === undefined || behind === undefined || more.length > 0) return null;
      pieces.push(piece);
      rest = behind;
    }
    return [...pieces, rest];
  }
}
