// Annotation by a language model: ask for the hardest passages, find each quote in the trace, keep as many as the wanted share
// allows. Every attempt is bounded; what could not be located is said in the notes, never guessed.

import { setTimeout as sleep } from 'node:timers/promises';

import type { GenerateOptions, TextChunk, TextModel } from '@baton/runtime/text-model';
import { ChatContinuationModel } from '@baton/split/endpoint';

import { TextIndex } from '../align/text-index.ts';
import type { SnippetMatch } from '../align/text-index.ts';
import { AnnotateError } from '../annotate-error.ts';
import type { Annotate, AnnotatedSpan, Annotation } from '../annotated-row.ts';
import { normaliseSpans } from '../spans.ts';
import { annotatorPrompt, readPassages } from './prompt.ts';

export interface ModelAnnotatorOptions {
  /** Wanted share of the trace's characters. Default 0.2. */
  share?: number;
  /** Spans at most so many characters apart become one. Default 10. */
  mergeGap?: number;
  minIdentity?: number;
  /** Temperature of each attempt; there are as many attempts as entries. Default 0, 0.3, 0.6. */
  temperatures?: readonly number[];
  /** Wait before a further attempt after a failed request, in milliseconds; doubles each time. Default 2,000. */
  retryMs?: number;
  maxTokens?: number;
}

/** Passages beyond this multiple of the wanted share are left out, hardest first kept. */
const SHARE_SLACK = 1.5;

/**
 * Makes an annotator of a model. The request is one user turn: over the chat interface of a ChatContinuationModel, else in
 * the model's own chat template, else as raw text.
 */
export function modelAnnotator(model: TextModel, options: ModelAnnotatorOptions = {}): Annotate {
  const temperatures = options.temperatures ?? [0, 0.3, 0.6];
  const share = options.share ?? 0.2;
  return async (row, signal) => {
    const prompt = annotatorPrompt(row, share);
    const index = new TextIndex(row.text);
    let failure = '';
    for (const [attempt, temperature] of temperatures.entries()) {
      const reply = await ask(model, prompt, temperature, attempt, options.maxTokens, signal);
      if (reply instanceof Error) {
        failure = reply.message.split('\n')[0]!;
        if (attempt < temperatures.length - 1) {
          await sleep((options.retryMs ?? 2000) * 2 ** attempt, undefined, { signal });
        }
        continue;
      }
      const passages = readPassages(reply);
      if (passages === null) {
        failure = 'the reply quoted no passage';
        continue;
      }
      const found = locateAll(index, passages, options.minIdentity);
      if (found.length === 0 && passages.length > 0) {
        failure = `none of the ${passages.length} quoted passages stands in the trace`;
        continue;
      }
      return settle(row.text, passages, found, share, options.mergeGap ?? 10, attempt + 1);
    }
    throw new AnnotateError(`no annotation after ${temperatures.length} attempts: ${failure}`);
  };
}

async function ask(
  model: TextModel,
  prompt: string,
  temperature: number,
  attempt: number,
  maxTokens: number | undefined,
  signal: AbortSignal,
): Promise<string | Error> {
  let reply = '';
  try {
    const stream = userTurn(model, prompt, {
      maxTokens: maxTokens ?? 4096,
      sampling: temperature === 0 ? {} : { temperature, seed: attempt },
      signal,
    });
    for await (const chunk of stream) reply += chunk.text;
  } catch (error) {
    if (signal.aborted) throw error;
    return error instanceof Error ? error : new Error(String(error));
  }
  signal.throwIfAborted();
  return reply;
}

async function* userTurn(
  model: TextModel,
  prompt: string,
  options: GenerateOptions,
): AsyncGenerator<TextChunk> {
  if (model instanceof ChatContinuationModel) {
    return yield* model.continueAssistant({ prompt, question: prompt, partial: '', answer: '' }, options);
  }
  const rendered = model.renderChat
    ? await model.renderChat([{ role: 'user', content: prompt }], { addGenerationPrompt: true })
    : prompt;
  yield* model.generate(rendered, options);
}

/** Passages in the annotator's order with their places; each repeated quote takes the next place that has its text. */
function locateAll(index: TextIndex, passages: readonly string[], minIdentity?: number): SnippetMatch[] {
  const matches: SnippetMatch[] = [];
  const nextFrom = new Map<string, number>();
  for (const passage of passages) {
    const from = nextFrom.get(passage) ?? 0;
    const match = index.locate(passage, { from, ...(minIdentity === undefined ? {} : { minIdentity }) });
    if (match === null) continue;
    nextFrom.set(passage, match.end);
    matches.push(match);
  }
  return matches;
}

function settle(
  text: string,
  passages: readonly string[],
  found: readonly SnippetMatch[],
  share: number,
  mergeGap: number,
  calls: number,
): Annotation {
  const notes: string[] = [];
  if (found.length < passages.length) {
    notes.push(
      `${passages.length - found.length} of ${passages.length} quoted passages do not stand in the trace`,
    );
  }
  const kept: SnippetMatch[] = [];
  const budget = text.length * share * SHARE_SLACK;
  let used = 0;
  for (const match of found) {
    const length = match.end - match.start;
    // The hardest passage is kept even where it alone exceeds the budget: otherwise a short trace could have none.
    if (kept.length > 0 && used + length > budget) continue;
    kept.push(match);
    used += length;
  }
  if (kept.length < found.length)
    notes.push(`${found.length - kept.length} passages left out beyond the wanted share`);
  const spans = normaliseSpans(kept, text, mergeGap).map((span): AnnotatedSpan => {
    const inside = kept.filter((match) => match.start >= span.start && match.end <= span.end);
    return { ...span, identity: Math.min(1, ...inside.map((match) => match.identity)) };
  });
  return { spans, calls, notes };
}
