// One streamed generation over HTTP as TextChunks. A server that refuses a request for a field it does not know is asked
// again in the plainest form, and from then on so.

import type { TextChunk } from '@baton/runtime/text-model';

import { EndpointError, messageOf } from '../split-error.ts';
import { postEvents } from './event-stream.ts';
import type { HttpOptions } from './event-stream.ts';
import type { GrowingBody } from './growing-body.ts';
import { inOneLine, parseEvent } from './wire.ts';

/** What is known of the requests that one endpoint takes. */
export interface RequestForm {
  /** Only the fields that every server knows. */
  plain: boolean;
}

/**
 * Thoughts that a server sends apart, put back into the text with the marks that stand around them there: the small model reads one
 * text, and whether the answer is complete is seen by the end of the thought.
 */
export class Thoughts {
  #open: boolean;
  #apart = false;

  /** `open`: what is continued is in the middle of a thought. */
  constructor(open: boolean) {
    this.#open = open;
  }

  joined({ text, thought }: { text: string; thought: string }): string {
    let out = '';
    if (thought !== '') {
      out += this.#open ? thought : `<think>\n${thought}`;
      this.#open = true;
      this.#apart = true;
    }
    if (text === '') return out;
    // Text of a server that keeps its thoughts apart is not one of them any more.
    if (this.#open && this.#apart) {
      out += '\n</think>\n\n';
      this.#open = false;
    }
    return out + text;
  }
}

/** Whether `text` ends in the middle of a thought. */
export function endsInThought(text: string): boolean {
  return text.lastIndexOf('<think>') > text.lastIndexOf('</think>');
}

type Body = Readonly<Record<string, unknown>>;

/** Fields that every server of the API knows, and those that continue a turn: without them the request is another one. */
const PLAIN_FIELDS: ReadonlySet<string> = new Set([
  'model',
  'prompt',
  'messages',
  'max_tokens',
  'temperature',
  'stream',
  'stop',
  'continue_final_message',
  'add_generation_prompt',
]);

/** Posts and reads one streamed generation. The last chunk, and only it, has the finish reason. */
export async function* streamChunks(
  url: string,
  body: Body,
  http: HttpOptions,
  signal: AbortSignal | undefined,
  form: RequestForm,
  thoughts: Thoughts = new Thoughts(false),
): AsyncGenerator<TextChunk> {
  const plain = Object.fromEntries(Object.entries(body).filter(([name]) => PLAIN_FIELDS.has(name)));
  let begun = false;
  let refused = '';
  try {
    for await (const chunk of streamOnce(url, form.plain ? plain : body, http, signal, thoughts)) {
      begun = true;
      yield chunk;
    }
    return;
  } catch (error) {
    const smaller = Object.keys(plain).length < Object.keys(body).length;
    if (begun || form.plain || !smaller || !refusesFields(error)) throw error;
    refused = messageOf(error);
  }
  for await (const chunk of streamOnce(url, plain, http, signal, thoughts)) {
    const notes = form.plain ? {} : { notes: [`${refused}; asked again with the plainest fields only`] };
    form.plain = true;
    yield { ...chunk, ...notes };
  }
}

/** 400 and 422 are how strict servers answer a field that they do not know. */
function refusesFields(error: unknown): boolean {
  return error instanceof EndpointError && (error.status === 400 || error.status === 422);
}

/** How long usage and `[DONE]` may take behind a finish reason: some servers send neither, and leave the stream open. */
const MOST_AFTER_FINISH_MS = 1000;

/** As `streamChunks`, in this form only. */
export async function* streamOnce(
  url: string,
  body: Body | GrowingBody,
  http: HttpOptions,
  signal: AbortSignal | undefined,
  thoughts: Thoughts = new Thoughts(false),
): AsyncGenerator<TextChunk> {
  const over = new AbortController();
  const both = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const events = postEvents(url, body, http, both);
  let last: Pick<TextChunk, 'finishReason' | 'stopped' | 'usage'> = {};
  let refusal = '';
  let failure: string | undefined;
  const nextEvent = async (): Promise<IteratorResult<string, 'done' | 'eof'>> => {
    const timer = last.finishReason && setTimeout(() => over.abort(), MOST_AFTER_FINISH_MS);
    try {
      return await events.next();
    } catch (error) {
      if (over.signal.aborted && !signal?.aborted) return { done: true, value: 'done' };
      throw error;
    } finally {
      clearTimeout(timer);
    }
  };
  try {
    for (;;) {
      const next = await nextEvent();
      if (next.done) {
        if (refusal !== '') failure = `it refused: ${inOneLine(refusal)}`;
        if (failure !== undefined) {
          // What was read and written is billed all the same.
          if (last.usage) yield { text: '', tokenIds: [], usage: last.usage };
          throw new EndpointError('server', `${url}: ${failure}`);
        }
        // [DONE] without a finish reason is an end all the same; a bare end of the stream is not.
        if (last.finishReason === undefined && next.value === 'eof')
          throw new EndpointError('cut', `${url}: the stream ended in the middle`);
        yield { text: '', tokenIds: [], finishReason: 'stop', ...last };
        return;
      }
      const event = parseEvent(next.value, url);
      const { tokenIds, logprobs, finishReason, stopped, usage } = event;
      const text = thoughts.joined(event);
      refusal += event.refusal;
      failure ??= event.failure;
      if (finishReason) last = { ...last, finishReason };
      if (stopped !== undefined) last = { ...last, stopped };
      if (usage) last = { ...last, usage };
      if (text !== '' || tokenIds.length > 0 || (logprobs?.length ?? 0) > 0)
        yield { text, tokenIds, ...(logprobs ? { logprobs } : {}), ...(usage ? { usage } : {}) };
    }
  } finally {
    await events.return('eof');
  }
}
