// Text to token ids and back for one model: @huggingface/tokenizers reads tokenizer.json and encodes; the way back
// goes through bytes (token-bytes.ts) so that text can stream. Holds no conversation state.

import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { RuntimeError, messageOf } from '../errors.ts';
import { withConfiguredTokens } from './configured-tokens.ts';
import { libraryJson } from './library-json.ts';
import { seams, type Seams } from './seams.ts';
import { cutAtAddedTokens, type Splitting } from './single-words.ts';
import { TextStream } from './text-stream.ts';
import { TokenBytes, type TokenizerJson } from './token-bytes.ts';
import { unknownBytes } from './unknown-bytes.ts';

export class Tokenizer {
  /** Bytes each id adds to the text. */
  readonly bytes: TokenBytes;
  /** Ids the tokenizer puts before every text (usually a begin-of-text token); they add nothing to the text. */
  readonly prefix: readonly number[];
  /** Where no token reaches over. */
  readonly seams: Seams;
  readonly #inner: HuggingFaceTokenizer;
  readonly #unknownBytes: ReturnType<typeof unknownBytes>;
  readonly #prefixText: string;
  readonly #chatBeginnings: () => readonly string[];
  readonly #idOf = new Map<string, number>();
  readonly #beginnings = new Map<string, { id: number; lead: string; covers: number }[]>();

  /**
   * `file` and `config` are the parsed tokenizer.json and tokenizer_config.json; `chatBeginnings` are those of the model's chat template,
   * asked for where they matter. Throws `bad-tokenizer`.
   */
  constructor(file: unknown, config: unknown = {}, chatBeginnings: () => readonly string[] = () => []) {
    this.#chatBeginnings = chatBeginnings;
    const json = withConfiguredTokens(file as object, config);
    try {
      this.#inner = new HuggingFaceTokenizer(libraryJson(json), withUnknown(json, config));
    } catch (error) {
      throw new RuntimeError('bad-tokenizer', `tokenizer.json cannot be used: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const parsed = json as TokenizerJson;
    const library = this.#inner as unknown as Splitting & { model: { vocab: (string | undefined)[] } };
    this.bytes = new TokenBytes(parsed, library.model.vocab, (text) => this.normalize(text));
    this.seams = seams(json, config);
    const added = parsed.added_tokens ?? [];
    for (const token of added) this.#idOf.set(token.content, token.id);
    cutAtAddedTokens(library, added);
    this.#unknownBytes = unknownBytes((json as { model: unknown }).model, (token) =>
      this.#inner.token_to_id(token),
    );
    // What the post-processor adds in front shows on any text; a text of one letter is the cheapest.
    const bare = this.#inner.encode('a', { add_special_tokens: false }).ids;
    const full = this.#inner.encode('a', { add_special_tokens: true }).ids;
    const at = full.findIndex((_, i) => bare.every((id, j) => full[i + j] === id));
    this.prefix = at > 0 ? full.slice(0, at) : [];
    this.#prefixText = this.decode(this.prefix);
  }

  /** Ids of `text` on its own: added and special tokens recognised, no prefix. */
  encode(text: string): number[] {
    if (text === '') return [];
    const encoded = this.#inner.encode(text, { add_special_tokens: false });
    const ids = this.#unknownBytes?.(encoded) ?? encoded.ids;
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
   * Ids of a whole sequence that starts with `text`: as `encode`, with the prefix unless `silentPrefix` says that it has none. `ids`:
   * what `encode` gives, where it is known.
   */
  encodeSequence(text: string, ids: readonly number[] = this.encode(text)): readonly number[] {
    return this.silentPrefix(text) === 0 ? ids : [...this.prefix, ...ids];
  }

  /**
   * How many leading ids of a sequence add nothing to `text`: the prefix's, unless the text spells that out or begins as the chat template
   * does. Rendered chats have the special tokens that the template writes and no others (transformers' apply_chat_template).
   */
  silentPrefix(text: string): number {
    if (this.prefix.length === 0) return 0;
    if (this.#prefixText !== '' && text.startsWith(this.#prefixText)) return 0;
    return this.#chatBeginnings().some((beginning) => text.startsWith(beginning)) ? 0 : this.prefix.length;
  }

  /** Exact text of `ids`; U+FFFD where bytes are not valid UTF-8. `fresh`: the ids begin a text. */
  decode(ids: readonly number[], fresh = true): string {
    const stream = this.stream(fresh);
    return ids.map((id) => stream.push(id)).join('') + stream.flush();
  }

  /** A decoder that takes one id at a time. `fresh`: the first id begins a text; else it comes behind the id `after`. */
  stream(fresh: boolean, after?: number): TextStream {
    return new TextStream(this.bytes, fresh && this.bytes.stripsLeadingSpace, fresh ? undefined : after);
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

/** @huggingface/tokenizers 0.2.0 takes the unknown token of a word-level model from tokenizer_config.json only. */
function withUnknown(json: unknown, config: unknown): object {
  const { type, unk_token } = (json as { model?: { type?: string; unk_token?: string } }).model ?? {};
  return type === 'WordLevel' ? { ...(config as object | null), unk_token } : ((config ?? {}) as object);
}
