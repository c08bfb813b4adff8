// Text to token ids and back for one model: @huggingface/tokenizers reads tokenizer.json and encodes; the way back
// goes through bytes (token-bytes.ts) so that text can stream. Holds no conversation state.

import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { RuntimeError, messageOf } from '../errors.ts';
import { seams, type Seams } from './seams.ts';
import { TextStream } from './text-stream.ts';
import { TokenBytes, type TokenizerJson } from './token-bytes.ts';

export class Tokenizer {
  /** Bytes each id adds to the text. */
  readonly bytes: TokenBytes;
  /** Ids the tokenizer puts before every text (usually a begin-of-text token); they add nothing to the text. */
  readonly prefix: readonly number[];
  /** Where no token reaches over. */
  readonly seams: Seams;
  readonly #inner: HuggingFaceTokenizer;
  readonly #prefixText: string;
  readonly #idOf = new Map<string, number>();
  readonly #beginnings = new Map<string, { id: number; lead: string; covers: number }[]>();

  /** `json` and `config` are the parsed tokenizer.json and tokenizer_config.json. Throws `bad-tokenizer`. */
  constructor(json: unknown, config: unknown = {}) {
    try {
      this.#inner = new HuggingFaceTokenizer(json as object, (config ?? {}) as object);
    } catch (error) {
      throw new RuntimeError('bad-tokenizer', `tokenizer.json cannot be used: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const parsed = json as TokenizerJson;
    const { model } = this.#inner as unknown as { model: { vocab: (string | undefined)[] } };
    this.bytes = new TokenBytes(parsed, model.vocab);
    this.seams = seams(json, config);
    for (const token of parsed.added_tokens ?? []) this.#idOf.set(token.content, token.id);
    // What the post-processor adds in front shows on any text; a text of one letter is the cheapest.
    const bare = this.#inner.encode('a', { add_special_tokens: false }).ids;
    const full = this.#inner.encode('a', { add_special_tokens: true }).ids;
    const at = full.findIndex((_, i) => bare.every((id, j) => full[i + j] === id));
    this.prefix = at > 0 ? full.slice(0, at) : [];
    this.#prefixText = new TextDecoder().decode(
      concat(this.prefix.map((id) => this.bytes.at(id) ?? new Uint8Array())),
    );
  }

  /** Ids of `text` on its own: added and special tokens recognised, no prefix. */
  encode(text: string): number[] {
    if (text === '') return [];
    const { ids } = this.#inner.encode(text, { add_special_tokens: false });
    const bad = ids.findIndex((id) => !Number.isInteger(id));
    if (bad >= 0) {
      throw new RuntimeError(
        'bad-tokenizer',
        `the tokenizer has no id for a piece of the text near token ${bad} and no unknown token`,
      );
    }
    return ids;
  }

  /**
   * Ids of a whole sequence that starts with `text`: as `encode`, with the prefix unless the text spells it out. `ids`: what
   * `encode` gives, where it is known.
   */
  encodeSequence(text: string, ids: readonly number[] = this.encode(text)): readonly number[] {
    const spelled = this.#prefixText !== '' && text.startsWith(this.#prefixText);
    return spelled || this.prefix.length === 0 ? ids : [...this.prefix, ...ids];
  }

  /** How many leading ids of a sequence add nothing to `text` (the prefix, unless the text spells it out). */
  silentPrefix(text: string): number {
    return this.#prefixText !== '' && text.startsWith(this.#prefixText) ? 0 : this.prefix.length;
  }

  /** Exact text of `ids`; U+FFFD where bytes are not valid UTF-8. `fresh`: the ids begin a text. */
  decode(ids: readonly number[], fresh = true): string {
    const stream = this.stream(fresh);
    return ids.map((id) => stream.push(id)).join('') + stream.flush();
  }

  /** A decoder that takes one id at a time. `fresh`: the first id begins a text. */
  stream(fresh: boolean): TextStream {
    return new TextStream(this.bytes, fresh && this.bytes.stripsLeadingSpace);
  }

  /** Id of an added token by its content, e.g. "<bigmodel>"; undefined where there is none. */
  addedToken(content: string): number | undefined {
    return this.#idOf.get(content);
  }

  /** Ids whose text ends in a beginning of `text`, with what they hold in front of it; the longest beginning counts. */
  beginnings(text: string): { id: number; lead: string; covers: number }[] {
    const known = this.#beginnings.get(text);
    if (known) return known;
    const found: { id: number; lead: string; covers: number }[] = [];
    for (let id = 0; id < this.bytes.length; id++) {
      const own = this.tokenText(id);
      for (let n = Math.min(text.length, own.length); n > 0; n--) {
        if (!own.endsWith(text.slice(0, n))) continue;
        found.push({ id, lead: own.slice(0, own.length - n), covers: n });
        break;
      }
    }
    this.#beginnings.set(text, found);
    return found;
  }

  /** The token's own text, for display; U+FFFD where it is part of a character. */
  tokenText(id: number): string {
    return new TextDecoder().decode(this.bytes.at(id));
  }

  /** The text after the tokenizer's own normaliser, e.g. NFC; the same string where it has none. */
  normalize(text: string): string {
    const normalizer = this.#inner.normalizer as unknown as ((text: string) => string) | null;
    return normalizer ? normalizer(text) : text;
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
