// A question in a server's own chat template, as text: what a raw completion must begin with, for /v1/completions applies no
// template. Sources: vLLM (`POST /tokenize` of messages, `POST /detokenize`: vllm/entrypoints/serve/tokenize/protocol.py),
// llama.cpp's server (`POST /apply-template`: tools/server/README.md), `baton serve` (`POST /v1/render`).

import type { ChatMessage } from '@baton/runtime/text-model';

import { EndpointError } from '../split-error.ts';
import { apiBase } from './address.ts';
import { requestJson } from './event-stream.ts';
import type { HttpOptions, Signal } from './event-stream.ts';

/** Kinds of servers that render. */
export type Renderer = 'vllm' | 'llama.cpp' | 'baton';

export function isRenderer(kind: string): kind is Renderer {
  return kind === 'vllm' || kind === 'llama.cpp' || kind === 'baton';
}

export interface RenderingServer {
  kind: Renderer;
  url: string;
  model: string;
  http: HttpOptions;
}

/**
 * The messages as the text that the server's model reads; null where it has no such request (a proxy in front of it, a model
 * without a template). Throws EndpointError where it is not reached.
 */
export async function renderedBy(
  { kind, url, model, http }: RenderingServer,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  signal?: Signal,
): Promise<string | null> {
  const base = apiBase(url);
  const root = base.replace(/\/v1$/, '');
  const post = (path: string, body: object): Promise<unknown> =>
    requestJson(path, 'POST', body, http, signal);
  try {
    switch (kind) {
      case 'baton':
        return textOf(await post(`${base}/render`, { messages, addGenerationPrompt }), 'text');
      case 'llama.cpp': {
        const asked = { messages, add_generation_prompt: addGenerationPrompt };
        return textOf(await post(`${root}/apply-template`, asked), 'prompt');
      }
      case 'vllm': {
        const asked = { model, messages, add_generation_prompt: addGenerationPrompt };
        const { tokens } = (await post(`${root}/tokenize`, asked)) as { tokens?: unknown };
        return textOf(await post(`${root}/detokenize`, { model, tokens }), 'prompt');
      }
    }
  } catch (error) {
    // llama.cpp answers a template that fails with 500.
    if (error instanceof EndpointError && ['bad-request', 'malformed', 'server'].includes(error.kind))
      return null;
    throw error;
  }
}

function textOf(answer: unknown, field: string): string | null {
  const value = (answer as Record<string, unknown> | null)?.[field];
  return typeof value === 'string' ? value : null;
}

/** A question that no template changes and no person asks. */
const PLACE = 'The question stands here: 7f3a9c.';

/**
 * What a server's template puts around a question, found once with a text that says nothing: so the question itself goes out with the
 * first request that needs it, and never before.
 */
export class QuestionFrame {
  readonly #render: (messages: readonly ChatMessage[], signal: Signal) => Promise<string | null>;
  #frame: Promise<{ before: string; after: string } | null> | null = null;

  constructor(render: (messages: readonly ChatMessage[], signal: Signal) => Promise<string | null>) {
    this.#render = render;
  }

  /** The question in its frame; null where the server renders nothing or changes what it is given. */
  async around(question: string, signal?: Signal): Promise<string | null> {
    this.#frame ??= this.#find(signal);
    try {
      const frame = await this.#frame;
      return frame && frame.before + question + frame.after;
    } catch (error) {
      // Asked again another time; the request that is to follow will say for itself what is wrong.
      this.#frame = null;
      if (error instanceof EndpointError) return null;
      throw error;
    }
  }

  async #find(signal: Signal): Promise<{ before: string; after: string } | null> {
    const rendered = await this.#render([{ role: 'user', content: PLACE }], signal);
    const [before, after, ...more] = rendered?.split(PLACE) ?? [];
    return before === undefined || after === undefined || more.length > 0 ? null : { before, after };
  }
}
