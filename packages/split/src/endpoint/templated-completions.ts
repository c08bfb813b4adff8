// Raw completion on a server that tells its chat template: the large model reads the question in its own form instead of the
// small model's, and goes on with the answer from there.

import type { GenerateOptions, TextChunk } from '@baton/runtime/text-model';
import { underSignal } from '@baton/runtime/under-signal';

import { EndpointError } from '../split-error.ts';
import type { Continuation, ContinuingModel } from '../relay/large-side.ts';
import { ChatFrame, addedInFront, renderedBy, withoutAdded } from './chat-template.ts';
import type { Renderer, RenderingServer } from './chat-template.ts';
import type { Signal } from './event-stream.ts';
import { OpenAICompletionsModel, firstModelId, httpOf } from './openai-completions.ts';
import type { EndpointOptions } from './openai-completions.ts';

/** The template is worth no longer wait: without it the small model's form will do. */
const PATIENCE_MS = 5_000;
const THINKING = /<think>\s*$/;

export class TemplatedCompletionsModel extends OpenAICompletionsModel implements ContinuingModel {
  readonly #frame: ChatFrame;
  readonly #server: () => Promise<RenderingServer>;
  /** What the server puts in front of every prompt itself. */
  #added: Promise<string> | null = null;

  constructor(options: EndpointOptions, kind: Renderer) {
    super(options);
    const { url } = options;
    const { connectMs = PATIENCE_MS } = options;
    const http = {
      ...httpOf(options),
      retries: 0,
      connectMs: Math.min(connectMs, PATIENCE_MS),
      idleMs: PATIENCE_MS,
    };
    this.#server = async () => ({
      kind,
      url,
      model: options.model ?? (await firstModelId(options)),
      http,
    });
    this.#frame = new ChatFrame(async (messages) => renderedBy(await this.#server(), messages));
  }

  async promptOf(turn: Continuation, signal?: Signal): Promise<string> {
    const asked = [...(turn.history ?? []), { role: 'user' as const, content: turn.question }];
    const own = turn.raw ? null : await this.#frame.around(asked, signal);
    return withoutAdded(textOf(turn, own), await this.#inFront(signal));
  }

  async #inFront(signal: Signal): Promise<string> {
    this.#added ??= this.#askAdded();
    try {
      return await underSignal(this.#added, signal);
    } catch (error) {
      // The request that is to follow will say for itself what is wrong.
      if (error instanceof EndpointError) return '';
      throw error;
    }
  }

  async #askAdded(): Promise<string> {
    try {
      return await addedInFront(await this.#server());
    } catch (error) {
      // Asked again another time.
      this.#added = null;
      throw error;
    }
  }

  async *continueAssistant(turn: Continuation, options: GenerateOptions = {}): AsyncGenerator<TextChunk> {
    yield* this.generate(await this.promptOf(turn, options.signal), options);
  }
}

function textOf(turn: Continuation, own: string | null): string {
  if (own === null) return turn.prompt + turn.answer;
  if (turn.bare) return own;
  // A template that opens the thought itself must not find it opened twice.
  return own + (THINKING.test(own) ? turn.answer : turn.partial);
}
