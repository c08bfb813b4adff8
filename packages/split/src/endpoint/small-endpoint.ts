// A remote completions endpoint as the small model: a TextModel with sessions over OpenAI's public API alone. Whether it can be
// one, and how well, is found out when it is opened; what it cannot do is told by name.

import type {
  ChatMessage,
  GenerateOptions,
  RenderOptions,
  TextChunk,
  TextModel,
  TextModelCapabilities,
} from '@baton/runtime/text-model';

import { EndpointError, SplitError, messageOf } from '../split-error.ts';
import { plainPrompt } from '../text/plain-prompt.ts';
import { TAGS } from '../text/tags.ts';
import { apiBase, apiUrl } from './address.ts';
import { addedInFront, isRenderer, renderedBy, withoutAdded } from './chat-template.ts';
import type { ConnectOptions } from './connect.ts';
import { EndpointSession } from './endpoint-session.ts';
import { requestJson } from './event-stream.ts';
import { OpenAICompletionsModel, httpOf } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';
import { presetByName, presetByOwner, presetByUrl } from './presets.ts';
import { withPreset } from './probe.ts';
import { parseEvent } from './wire.ts';

/** What an endpoint tells of its own predictions. */
export interface EndpointInsight {
  /** Log-probabilities of a given text's own tokens (`echo`). */
  echo: boolean;
  /** Alternatives per place. */
  top: number;
  /** Tokens that fit, where the server says so. */
  capacity: number | null;
}

/** Alternatives asked for, most first: vLLM's and baton's limit, OpenAI's, and the least. */
const TOPS = [20, 5, 1];
const TRIAL = 'One, two, three, four,';

/** These leave special tokens out of the text unless they are asked not to, and the tags may be such tokens. */
const SPECIAL_TOKENS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  vllm: { skip_special_tokens: false, spaces_between_special_tokens: false },
  sglang: { skip_special_tokens: false },
  // Only what is named is shown (tools/server/server-task.cpp); what is no token of the model is passed over.
  'llama.cpp': { preserved_tokens: [TAGS.open, TAGS.close, '<think>', '</think>'] },
};

/** Kinds that answer `echo` with an error of the server's own (llama.cpp: 500 "Only no echo is supported"). */
const NO_ECHO: ReadonlySet<string> = new Set(['llama.cpp']);

interface Listed {
  id?: unknown;
  owned_by?: unknown;
  max_model_len?: unknown;
}

/**
 * Opens an endpoint for the small model's part. Throws EndpointError where it cannot be reached, and SplitError
 * `unsuitable-model` where it takes no raw text or tells no log-probabilities.
 */
export async function openSmallEndpoint(options: ConnectOptions): Promise<TextModel> {
  const { preset: name, signal, ...given } = options;
  const http = httpOf(given);
  const list = (await requestJson(apiUrl(given.url, 'models'), 'GET', undefined, http, signal)) as {
    data?: Listed[];
  } | null;
  const models = Array.isArray(list?.data) ? list.data : [];
  const entry = models.find(({ id }) => id === given.model) ?? models[0];
  const model = given.model ?? (typeof entry?.id === 'string' ? entry.id : undefined);
  const place = apiBase(given.url);
  if (model === undefined)
    throw new EndpointError('malformed', `${place}: no model is listed; name one (--small-model)`);
  const owner = typeof entry?.owned_by === 'string' ? entry.owned_by : '';
  const preset = name === undefined ? (presetByUrl(given.url) ?? presetByOwner(owner)) : presetByName(name);
  if (preset && preset.continuation !== 'raw') throw unsuitable(model, place, 'takes no raw text');
  const settings = withPreset(preset, { ...given, model });
  const kind = preset?.name ?? owner;
  const extraBody = { ...settings.extraBody, ...SPECIAL_TOKENS[kind] };
  const insight = await insightOf({ ...settings, extraBody }, model, NO_ECHO.has(kind), signal);
  const capacity = typeof entry?.max_model_len === 'number' ? entry.max_model_len : null;
  return new SmallEndpoint({ ...settings, extraBody, model, logprobs: true }, { ...insight, capacity }, kind);
}

async function insightOf(
  settings: EndpointOptions,
  model: string,
  noEcho: boolean,
  signal: AbortSignal | undefined,
): Promise<Pick<EndpointInsight, 'echo' | 'top'>> {
  const url = apiUrl(settings.url, 'completions');
  let refused = 'no log-probabilities came';
  for (const echo of noEcho ? [false] : [true, false]) {
    for (const top of TOPS) {
      const asked = {
        ...settings.extraBody,
        model,
        prompt: TRIAL,
        max_tokens: 1,
        temperature: 0,
        logprobs: top,
      };
      delete (asked as { stream_options?: unknown }).stream_options;
      try {
        const body = echo ? { ...asked, echo } : asked;
        const json = await requestJson(url, 'POST', body, httpOf(settings), signal);
        const { logprobs = [] } = parseEvent(JSON.stringify(json), url);
        const told = logprobs.at(-1)?.top?.length ?? 0;
        if (logprobs.length > (echo ? 1 : 0) && told > 0) return { echo, top: Math.min(top, told) };
        break;
      } catch (error) {
        if (!(error instanceof EndpointError) || !refusesField(error)) throw error;
        refused = messageOf(error);
      }
    }
  }
  throw unsuitable(model, apiBase(settings.url), `gives no log-probabilities (${refused})`);
}

/** Some servers answer a field that they do not have with 500, and name it. */
function refusesField(error: EndpointError): boolean {
  return (
    error.kind === 'bad-request' || (error.kind === 'server' && /\becho\b|logprobs/i.test(error.message))
  );
}

function unsuitable(model: string, place: string, why: string): SplitError {
  return new SplitError(
    'unsuitable-model',
    `${model} at ${place} cannot be the small model: it ${why}; use a local model, the bridge, or a server such as vLLM`,
  );
}

class SmallEndpoint implements TextModel {
  readonly id: string;
  readonly location: string;
  readonly capabilities: TextModelCapabilities;
  readonly #options: EndpointOptions;
  readonly #insight: EndpointInsight;
  readonly #kind: string;
  readonly #model: OpenAICompletionsModel;
  readonly #notes: string[] = [];

  constructor(options: EndpointOptions & { model: string }, insight: EndpointInsight, kind: string) {
    this.id = options.model;
    this.location = apiBase(options.url);
    this.#options = options;
    this.#insight = insight;
    this.#kind = kind;
    this.#model = new OpenAICompletionsModel(options);
    this.capabilities = { ...this.#model.capabilities, logprobs: true, sessions: true };
  }

  generate(prompt: string, options: GenerateOptions = {}): AsyncIterable<TextChunk> {
    return this.#model.generate(prompt, options);
  }

  async openSession(): Promise<EndpointSession> {
    return new EndpointSession(this.#model, this.#options, this.#insight, this.#notes.splice(0));
  }

  /** Through the server's own rendering where it has one; otherwise the question as plain text, which a note tells. */
  async renderChat(messages: readonly ChatMessage[], options: RenderOptions = {}): Promise<string> {
    const { url } = this.#options;
    const http = httpOf(this.#options);
    const server = isRenderer(this.#kind) ? { kind: this.#kind, url, model: this.id, http } : null;
    const rendered = server && (await renderedBy(server, messages, options));
    if (server && rendered !== null) return withoutAdded(rendered, await addedInFront(server));
    this.#notes.push(`${this.id}: its chat template is not known; the question is asked as plain text`);
    return plainPrompt(messages.at(-1)?.content ?? '', messages.slice(0, -1));
  }
}
