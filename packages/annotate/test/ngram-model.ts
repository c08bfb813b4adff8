// A small but real language model for tests: character n-grams with back-off, trained on the text it is given, greedy. It
// implements TextModel with and without sessions, so that both ways of measuring disagreement can be compared.

import type { TextChunk, TextModel, TextSession, WatchedPosition } from '@baton/runtime/text-model';

const ORDER = 14;

export interface NgramModel extends TextModel {
  /** Prompts of every generation, in order. */
  readonly asked: string[];
}

export function ngramModel(id: string, corpus: string, sessions: boolean): NgramModel {
  const tables = Array.from({ length: ORDER + 1 }, () => new Map<string, Map<string, number>>());
  for (let i = 0; i < corpus.length; i++) {
    for (let order = 0; order <= Math.min(ORDER, i); order++) {
      const context = corpus.slice(i - order, i);
      const counts = tables[order]!.get(context) ?? new Map<string, number>();
      counts.set(corpus[i]!, (counts.get(corpus[i]!) ?? 0) + 1);
      tables[order]!.set(context, counts);
    }
  }
  const next = (text: string): string => {
    for (let order = Math.min(ORDER, text.length); ; order--) {
      const counts = tables[order]!.get(text.slice(text.length - order));
      if (counts) return [...counts].sort((a, b) => b[1] - a[1])[0]![0];
    }
  };
  async function* write(prompt: string, maxTokens: number): AsyncGenerator<TextChunk> {
    let text = prompt;
    for (let i = 0; i < maxTokens; i++) {
      const character = next(text);
      text += character;
      yield { text: character, tokenIds: [character.charCodeAt(0)] };
    }
    yield { text: '', tokenIds: [], finishReason: 'length' };
  }
  const asked: string[] = [];
  const openSession = async (): Promise<TextSession> => {
    let held = '';
    return {
      encode: async (text) => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)),
      async sync(text, options) {
        held = text;
        const watched = Array.from({ length: options?.watch ? text.length : 0 }, (_, i): WatchedPosition => {
          const argmax = next(text.slice(0, i + 1)).charCodeAt(0);
          return { textLength: i + 1, logprobs: [], argmax, argmaxLogprob: 0 };
        });
        return { kept: 0, ingested: text.length, watched };
      },
      generate: (options) => {
        asked.push(held);
        return write(held, options?.maxTokens ?? 64);
      },
      state: async () => ({ tokens: held.length, capacity: 1e6, text: held }),
      close: async () => undefined,
    };
  };
  return {
    id,
    location: 'test',
    asked,
    capabilities: { logprobs: false, sessions, rawCompletion: true, billed: false },
    generate: (prompt, options) => {
      asked.push(prompt);
      return write(prompt, options?.maxTokens ?? 64);
    },
    ...(sessions ? { openSession } : {}),
  };
}
