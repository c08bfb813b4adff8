// A real, if small, language model that is trained in no time: the infinity-gram (Liu et al. 2024, arXiv 2401.17377).
// The next token is what followed the longest suffix of the context that occurs in its documents. It runs behind the
// runtime's own LocalModel, so tokenizer, cache, rollback, sampling and sessions are the ones that ship.

import { ChatTemplate, LocalModel, Tokenizer } from '@baton/runtime';
import type { Backend, ForwardResult, Sequence, Wanted, WatchedRow } from '@baton/runtime';

import { byteTokenizerJson } from './byte-tokenizer.ts';

export const END = '<|end|>';
const TEMPLATE =
  '{%- for m in messages -%}{{ "<|user|>\\n" + m.content + "\\n" }}{%- endfor -%}' +
  '{%- if add_generation_prompt -%}{{ "<|assistant|>\\n<think>\\n" }}{%- endif -%}';
const MARKERS = ['<|user|>', '<|assistant|>', END, '<think>', '</think>'];

export interface NgramOptions {
  id?: string;
  documents: readonly string[];
  /** Texts that are single tokens. */
  pieces?: readonly string[];
  /** The tags are single special tokens (as in the demo pair) rather than plain text. Default true. */
  specialTags?: boolean;
  capacity?: number;
  /** Probability shared by all tokens that the documents do not suggest. Default 0.02. */
  smoothing?: number;
  /** Milliseconds one forward pass takes, plus those per token. */
  latency?: { pass: number; token: number };
}

export function ngramModel(options: NgramOptions): LocalModel {
  const special = options.specialTags === false ? MARKERS : [...MARKERS, '<bigmodel>', '</bigmodel>'];
  const tokenizer = new Tokenizer(byteTokenizerJson(options.pieces ?? [], special));
  const end = tokenizer.addedToken(END)!;
  const documents = options.documents.map((text) => [...tokenizer.encode(text), end]);
  const backend = new NgramBackend(documents, tokenizer.bytes.length, options);
  return new LocalModel({
    manifest: { id: options.id ?? 'ngram', stopIds: [end] } as never,
    text: { tokenizer, template: new ChatTemplate(TEMPLATE) },
    backend,
    next: () => Promise.reject(new Error('there is no other target')),
  });
}

/** The prompt that `ngramModel` renders for a question. */
export const promptOf = (question: string): string => `<|user|>\n${question}\n<|assistant|>\n<think>\n`;

class NgramBackend implements Backend {
  readonly target = 'ort-cpu';
  readonly maxRows = 32;
  readonly capacities: readonly number[];
  readonly description = 'infinity-gram';
  readonly vocabSize: number;
  readonly #documents: readonly (readonly number[])[];
  readonly #smoothing: number;
  readonly #latency: { pass: number; token: number };

  constructor(documents: readonly (readonly number[])[], vocabSize: number, options: NgramOptions) {
    this.#documents = documents;
    this.vocabSize = vocabSize;
    this.capacities = [options.capacity ?? 4096];
    this.#smoothing = options.smoothing ?? 0.02;
    this.#latency = options.latency ?? { pass: 0, token: 0 };
  }

  async createSequence(): Promise<Sequence> {
    const slots: number[] = [];
    return {
      capacity: this.capacities[0]!,
      forward: async (tokens, position, wanted) => {
        const ms = this.#latency.pass + this.#latency.token * tokens.length;
        if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
        slots.length = position;
        const rows = tokens.map((token) => {
          slots.push(token);
          return wanted === 'none' ? null : this.#logprobs(slots);
        });
        return answer(rows, wanted, this.vocabSize);
      },
      close: async () => undefined,
    };
  }

  async close(): Promise<void> {}

  #logprobs(context: readonly number[]): Float32Array {
    let longest = 0;
    let followers: number[] = [];
    for (const document of this.#documents) {
      for (let at = 1; at < document.length; at++) {
        let n = 0;
        while (n < at && n < context.length && document[at - 1 - n] === context[context.length - 1 - n]) n++;
        if (n === 0 || n < longest) continue;
        if (n > longest) followers = [];
        longest = n;
        followers.push(document[at]!);
      }
    }
    const floor = (followers.length === 0 ? 1 : this.#smoothing) / this.vocabSize;
    const p = new Float32Array(this.vocabSize).fill(floor);
    for (const id of followers) p[id]! += (1 - this.#smoothing) / followers.length;
    return p.map(Math.log);
  }
}

function answer(rows: (Float32Array | null)[], wanted: Wanted, size: number): ForwardResult {
  if (wanted === 'none') return {};
  if (wanted === 'last') return { logits: rows.at(-1)! };
  if (wanted === 'all') {
    const logits = new Float32Array(rows.length * size);
    rows.forEach((row, i) => logits.set(row!, i * size));
    return { logits };
  }
  return { watched: rows.map((row): WatchedRow => watched(row!, wanted.watch)), logits: rows.at(-1)! };
}

function watched(row: Float32Array, ids: readonly number[]): WatchedRow {
  const argmax = row.reduce((best, x, i) => (x > row[best]! ? i : best), 0);
  return { logprobs: ids.map((id) => row[id]!), argmax, argmaxLogprob: row[argmax]! };
}
